//! A TCP relay that stands between two sessions, and can cut what goes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) struct Link {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    live: Mutex<Vec<TcpStream>>,
    is_blocked: AtomicBool,
}

impl Link {
    /// A relay to a port of 127.0.0.1.
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_blocked = AtomicBool::new(false);
        let shared = Arc::new(Shared { live: Mutex::new(Vec::new()), is_blocked });
        let relay = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if relay.is_blocked.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                _ = (near.set_nodelay(true), far.set_nodelay(true));
                relay
                    .live
                    .lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || copy(from, to));
                }
            }
        });
        Self { shared, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts what is connected, in the middle of whatever goes through. Tells whether something was.
    pub(crate) fn cut(&self) -> bool {
        let live: Vec<_> = self.shared.live.lock().unwrap().drain(..).collect();
        for stream in &live {
            _ = stream.shutdown(Shutdown::Both);
        }
        !live.is_empty()
    }

    /// From now on, or no more, connections come to nothing.
    pub(crate) fn block(&self, is_blocked: bool) {
        self.shared.is_blocked.store(is_blocked, Ordering::SeqCst);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
