//! By default, sessions of this crate talk over loopback only.

use std::collections::HashSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process;

use handover::Client;
use handover_remote::{Options, import};

use crate::support::{Child, connect, free_port, run};

/// The local addresses of the sockets of a process, as the kernel writes them, with the table that each stands in.
fn sockets(process: u32) -> Vec<(&'static str, String)> {
    let inodes: HashSet<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(name.to_owned())
        })
        .collect();
    let mut sockets = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let Ok(text) = fs::read_to_string(format!("/proc/{process}/net/{table}")) else { continue };
        for line in text.lines().skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            if inodes.contains(words[9]) {
                sockets.push((table, words[1].to_owned()));
            }
        }
    }
    sockets
}

fn is_loopback((_, address): &(&str, String)) -> bool {
    let (ip, _port) = address.split_once(':').unwrap();
    // 127.0.0.0/8, and ::1, in the byte order of this machine's kernel
    ip.len() == 8 && ip.ends_with("7F") || ip == "00000000000000000000000001000000"
}

#[test]
fn only_loopback_sockets_by_default() {
    if !Path::new("/proc/self/net/tcp").exists() {
        return; // another system: the configuration is the same there
    }
    run(async {
        let port = free_port();
        let producer = Child::start(format!("count {port} 2000"));
        producer.expect("ready");
        let consumer = Child::start(format!("consume {port} 0"));
        consumer.expect("idle");
        let session = connect(port).await;
        let (mut client, driver): (Client<u64>, _) =
            import(&session, "count", Options::default()).await.unwrap();
        tokio::spawn(driver);
        assert_eq!(client.recv().await, Ok(0));
        for child in [&producer, &consumer] {
            let sockets = sockets(child.id());
            assert!(sockets.iter().any(|(table, _)| *table == "tcp"), "{sockets:?}");
            assert!(sockets.iter().all(is_loopback), "{sockets:?}");
        }
    });
}

#[test]
fn a_socket_on_all_interfaces_would_be_noticed() {
    if !Path::new("/proc/self/net/tcp").exists() {
        return;
    }
    let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let sockets = sockets(process::id());
    for (table, port) in
        [("tcp", tcp.local_addr().unwrap().port()), ("udp", udp.local_addr().unwrap().port())]
    {
        let found = (sockets.iter())
            .find(|(at, address)| *at == table && address.ends_with(&format!(":{port:04X}")));
        assert!(!is_loopback(found.unwrap()));
    }
}
