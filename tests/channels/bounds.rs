//! What the types promise, and what they do not ask of values. Mostly it is enough that this compiles.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::support::thread;
use crate::support::*;
use futures_core::{FusedStream, Stream as AnyStream};
use handover::iter::{IntoValues, IntoValuesStream, Iter, Stream, Values, ValuesStream};
use handover::{
    Client, Permit, Receiver, RecvError, Rest, SendError, Sender, Server, Stats, WeakReceiver,
    WeakSender, Why, WriteError, duplex, op, rendezvous, simplex,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

/// Goes to other threads, but is not shared by them.
type Unshared = Cell<u8>;
/// Stays on its thread.
type Local = Rc<u8>;
/// Neither `Clone` nor `Debug` nor `Unpin`.
struct Pinned(u8, #[allow(dead_code, reason = "it only makes the type what it is")] PhantomPinned);

type Items<T> = std::vec::IntoIter<T>;

// Ends go where their values go; `T: Sync` is never asked for.
assert_impl_all!(Server<Unshared, Unshared>: Send, Sync);
assert_impl_all!(Client<Unshared, Unshared>: Send, Sync);
assert_impl_all!(Iter<Client<Unshared>>: Send, Sync);
assert_impl_all!(Stream<Client<Unshared>>: Send, Sync);
assert_impl_all!(Iter<&'static mut Client<Unshared>>: Send);
assert_impl_all!(Stream<&'static mut Client<Unshared>>: Send);
assert_not_impl_any!(Server<Local>: Send, Sync);
assert_not_impl_any!(Server<u8, Local>: Send, Sync);
assert_not_impl_any!(Client<Local>: Send, Sync);
assert_not_impl_any!(Client<u8, Local>: Send, Sync);
assert_not_impl_any!(Iter<Client<Local>>: Send, Sync);
assert_not_impl_any!(Stream<Client<Local>>: Send, Sync);
assert_not_impl_any!(Iter<&'static mut Client<Local>>: Send, Sync);
assert_not_impl_any!(Stream<&'static mut Client<Local>>: Send, Sync);

// One end is one party.
assert_not_impl_any!(Server<u8>: Clone, Copy);
assert_not_impl_any!(Client<u8>: Clone, Copy);

// Ends are `Unpin` whatever they carry, and a panic leaves them whole.
assert_impl_all!(Server<Pinned, Pinned>: Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Client<Pinned, Pinned>: Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Server<RefCell<u8>, Local>: Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Client<RefCell<u8>, Local>: Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Iter<Client<Pinned>>: Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Stream<Client<Pinned>>: Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Iter<&'static mut Client<Pinned>>: Unpin);
assert_impl_all!(Stream<&'static mut Client<Pinned>>: Unpin);

// Operations.
assert_impl_all!(op::Demand<'static, Unshared, Unshared>: Future<Output = Result<Unshared, RecvError>>, Send);
assert_impl_all!(op::Exchange<'static, Unshared, Unshared>: Future<Output = Result<Unshared, SendError<Unshared>>>, Send);
assert_impl_all!(op::SendAll<'static, Items<Unshared>>: Future<Output = Result<(), WriteError<Items<Unshared>>>>, Send);
assert_impl_all!(op::Ask<'static, Unshared, Unshared>: Future<Output = Result<Unshared, SendError<Unshared>>>, Send);
assert_impl_all!(op::Recv<'static, Unshared, Unshared>: Future<Output = Result<Unshared, RecvError>>, Send);
assert_impl_all!(op::Demand<'static, Pinned, Pinned>: Unpin, Send);
assert_impl_all!(op::Exchange<'static, Pinned, Pinned>: Unpin, Send);
assert_impl_all!(op::SendAll<'static, Items<Pinned>>: Unpin, Send);
assert_impl_all!(op::Ask<'static, Pinned, Pinned>: Unpin, Send);
assert_impl_all!(op::Recv<'static, Pinned, Pinned>: Unpin, Send);
assert_not_impl_any!(op::Demand<'static, u8, Local>: Send);
assert_not_impl_any!(op::Demand<'static, Local, u8>: Send);
assert_not_impl_any!(op::Exchange<'static, u8, Local>: Send);
assert_not_impl_any!(op::Exchange<'static, Local, u8>: Send);
assert_not_impl_any!(op::SendAll<'static, Items<Local>>: Send);
assert_not_impl_any!(op::Ask<'static, u8, Local>: Send);
assert_not_impl_any!(op::Ask<'static, Local, u8>: Send);
assert_not_impl_any!(op::Recv<'static, u8, Local>: Send);
assert_not_impl_any!(op::Recv<'static, Local, u8>: Send);

// Iterators and streams.
assert_impl_all!(Iter<&'static mut Client<Pinned>>: Iterator<Item = Pinned>, std::iter::FusedIterator);
assert_impl_all!(Iter<Client<Pinned>>: Iterator<Item = Pinned>, std::iter::FusedIterator);
assert_impl_all!(Stream<&'static mut Client<Pinned>>: AnyStream<Item = Pinned>, FusedStream);
assert_impl_all!(Stream<Client<Pinned>>: AnyStream<Item = Pinned>, FusedStream);
assert_impl_all!(Client<Pinned>: IntoIterator<Item = Pinned, IntoIter = Iter<Client<Pinned>>>);
assert_impl_all!(&'static mut Client<Pinned>: IntoIterator<Item = Pinned, IntoIter = Iter<&'static mut Client<Pinned>>>);

// Errors are values like others, and `Box<dyn Error + Send + Sync>` takes them.
assert_impl_all!(Why: Copy, Eq, std::hash::Hash, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(RecvError: Error, Copy, Eq, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(SendError<u8>: Error, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(SendError<Pinned>: Error);
assert_impl_all!(SendError<Unshared>: Send);
assert_not_impl_any!(SendError<Local>: Send);
assert_impl_all!(WriteError<Items<u8>>: Error, Send, Sync);
assert_impl_all!(WriteError<Items<Pinned>>: Error);
assert_impl_all!(Rest<Items<Unshared>>: Iterator<Item = Unshared>, Send);
assert_not_impl_any!(WriteError<Items<Local>>: Send);
assert_not_impl_any!(Rest<Items<Local>>: Send);

// Many to many: ends are shared, wherever their values may go.
assert_impl_all!(Sender<Unshared>: Clone, Send, Sync);
assert_impl_all!(Receiver<Unshared>: Clone, Send, Sync);
assert_impl_all!(WeakSender<Unshared>: Clone, Send, Sync);
assert_impl_all!(WeakReceiver<Unshared>: Clone, Send, Sync);
assert_impl_all!(Permit<'static, Unshared>: Send);
assert_impl_all!(Values<'static, Unshared>: Send);
assert_impl_all!(ValuesStream<'static, Unshared>: Send);
assert_impl_all!(IntoValues<Unshared>: Send);
assert_impl_all!(IntoValuesStream<Unshared>: Send);
assert_not_impl_any!(Sender<Local>: Send, Sync);
assert_not_impl_any!(Receiver<Local>: Send, Sync);
assert_not_impl_any!(WeakSender<Local>: Send, Sync);
assert_not_impl_any!(WeakReceiver<Local>: Send, Sync);
assert_not_impl_any!(Permit<'static, Local>: Send, Sync);
assert_not_impl_any!(Values<'static, Local>: Send, Sync);
assert_not_impl_any!(ValuesStream<'static, Local>: Send, Sync);
assert_not_impl_any!(IntoValues<Local>: Send, Sync);
assert_not_impl_any!(IntoValuesStream<Local>: Send, Sync);
assert_impl_all!(Sender<Pinned>: Clone, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Receiver<Pinned>: Clone, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(WeakSender<Pinned>: Clone, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(WeakReceiver<Pinned>: Clone, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Sender<Local>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(Receiver<RefCell<u8>>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(Stats: Copy, Eq, std::hash::Hash, std::fmt::Debug, Send, Sync);
// A permit is for one value, a weak handle no end.
assert_not_impl_any!(Permit<'static, u8>: Clone, Copy);

assert_impl_all!(op::Send<'static, Unshared>: Future<Output = Result<(), SendError<Unshared>>>, Send);
assert_impl_all!(op::SendEach<'static, Items<Unshared>>: Future<Output = Result<(), WriteError<Items<Unshared>>>>, Send);
assert_impl_all!(op::Reserve<'static, Unshared>: Future<Output = Result<Permit<'static, Unshared>, RecvError>>, Send);
assert_impl_all!(op::Take<'static, Unshared>: Future<Output = Result<Unshared, RecvError>>, Send);
assert_impl_all!(op::Closed<'static, Unshared>: Future<Output = Result<Why, RecvError>>, Send);
assert_impl_all!(op::Send<'static, Pinned>: Unpin, Send, std::fmt::Debug);
assert_impl_all!(op::SendEach<'static, Items<Pinned>>: Unpin, Send, std::fmt::Debug);
assert_impl_all!(op::Reserve<'static, Pinned>: Unpin, Send, std::fmt::Debug);
assert_impl_all!(op::Take<'static, Pinned>: Unpin, Send, std::fmt::Debug);
assert_impl_all!(op::Closed<'static, Pinned>: Unpin, Send, std::fmt::Debug);
assert_not_impl_any!(op::Send<'static, Local>: Send);
assert_not_impl_any!(op::SendEach<'static, Items<Local>>: Send);
assert_not_impl_any!(op::Reserve<'static, Local>: Send);
assert_not_impl_any!(op::Take<'static, Local>: Send);
assert_not_impl_any!(op::Closed<'static, Local>: Send);
assert_impl_all!(Values<'static, Pinned>: Iterator<Item = Pinned>, std::iter::FusedIterator);
assert_impl_all!(IntoValues<Pinned>: Iterator<Item = Pinned>, std::iter::FusedIterator);
assert_impl_all!(ValuesStream<'static, Pinned>: AnyStream<Item = Pinned>, FusedStream, Unpin);
assert_impl_all!(IntoValuesStream<Pinned>: AnyStream<Item = Pinned>, FusedStream, Unpin);
assert_impl_all!(Receiver<Pinned>: IntoIterator<Item = Pinned, IntoIter = IntoValues<Pinned>>);
assert_impl_all!(&'static Receiver<Pinned>: IntoIterator<Item = Pinned, IntoIter = Values<'static, Pinned>>);

/// Ends and operations are cheap to move: a few words beside the value.
#[test]
fn sizes() {
    fn is_small<T>(besides: usize) {
        let (name, size) = (std::any::type_name::<T>(), size_of::<T>());
        // What a diagnosis keeps of an operation, and where it waits.
        let for_reports = if cfg!(feature = "diagnose") { 24 } else { 0 };
        let for_reports =
            for_reports + if cfg!(any(feature = "model", feature = "diagnose")) { 16 } else { 0 };
        assert!(size <= 96 + for_reports + besides, "{name}: {size} bytes");
    }
    is_small::<Server<[u8; 4096]>>(0);
    is_small::<Client<[u8; 4096]>>(0);
    is_small::<op::Demand<'_, [u8; 4096], ()>>(0);
    is_small::<op::Recv<'_, u8, u8>>(0);
    is_small::<op::Exchange<'_, [u8; 4096], ()>>(4096);
    is_small::<op::Ask<'_, (), [u8; 4096]>>(4096);
    assert!(size_of::<RecvError>() <= 8);
    assert_eq!(size_of::<Sender<[u8; 4096]>>(), size_of::<usize>());
    assert_eq!(size_of::<Receiver<[u8; 4096]>>(), size_of::<usize>());
    is_small::<op::Take<'_, [u8; 4096]>>(0);
    is_small::<op::Reserve<'_, [u8; 4096]>>(0);
    is_small::<op::Closed<'_, [u8; 4096]>>(0);
    is_small::<Permit<'_, [u8; 4096]>>(0);
    is_small::<op::Send<'_, [u8; 4096]>>(4096);
}

/// Two values go from one thread to another, in each way in which the two may meet.
fn between_many<T: Send>(make: impl Fn(u8) -> T + Sync, check: impl Fn(u8, &T) + Sync) {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<T>();
    thread::scope(|scope| {
        let (tx, make) = (&tx, &make);
        scope.spawn(move || {
            assert!(tx.send(make(0)).wait().is_ok());
            assert!(pollster::block_on(tx.send(make(1))).is_ok());
            assert!(tx.send_all([make(2), make(3)]).wait().is_ok());
            let permit = tx.reserve().wait().unwrap();
            assert!(permit.send(make(4)).wait().is_ok());
            tx.close();
        });
        let got = rx.recv().wait();
        check(0, got.as_ref().ok().unwrap());
        let got = pollster::block_on(rx.recv());
        check(1, got.as_ref().ok().unwrap());
        for (value, round) in rx.iter().zip(2..) {
            check(round, &value);
        }
        assert_eq!(tx.stats().handed_over, 5);
    });
    let back = tx.send(make(5)).now().map_err(SendError::into_unsent).unwrap_err();
    check(5, &back.unwrap());
}

#[test]
fn many_to_many_values_of_all_kinds() {
    #[derive(PartialEq, Debug)]
    #[repr(align(256))]
    struct Aligned([u8; 4096]);
    struct Nothing;
    let words: Vec<_> = (0..6).map(|n| format!("word {n}")).collect();
    between_many::<&str>(
        |n| &words[usize::from(n)],
        |n, word| assert_eq!(*word, words[usize::from(n)]),
    );
    between_many::<()>(|_| (), |_, ()| {});
    between_many::<Nothing>(|_| Nothing, |_, Nothing| {});
    between_many::<[u64; 0]>(|_| [], |_, []| {});
    between_many::<[u8; 4096]>(|n| [n; 4096], |n, value| assert_eq!(*value, [n; 4096]));
    between_many::<Aligned>(
        |n| Aligned([n; 4096]),
        |n, value| {
            assert_eq!(*value, Aligned([n; 4096]));
            assert!(std::ptr::from_ref(value).addr().is_multiple_of(256));
        },
    );
    between_many::<Pinned>(|n| Pinned(n, PhantomPinned), |n, value| assert_eq!(value.0, n));
    between_many::<Unshared>(Cell::new, |n, value| assert_eq!(value.get(), n));
    between_many::<Box<dyn Fn() -> u8 + Send>>(|n| Box::new(move || n), |n, f| assert_eq!(f(), n));
}

#[test]
fn mutably_borrowed_values_between_many_threads() {
    let mut numbers: Vec<u32> = (0..64).collect();
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<&mut u32>();
    thread::scope(|scope| {
        for _ in 0..3 {
            let rx = rx.clone();
            scope.spawn(move || rx.iter().for_each(|number| *number *= 2));
        }
        drop(rx);
        assert!(tx.send_all(&mut numbers).wait().is_ok());
        drop(tx);
    });
    assert!(numbers.into_iter().eq((0..64).map(|n| n * 2)));
}

#[test]
fn local_values_between_many_in_one_task() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<Rc<Cell<u8>>>();
    let mine = Rc::new(Cell::new(0));
    let produce = async {
        for _ in 0..3 {
            tx.send(Rc::clone(&mine)).await.unwrap();
        }
        tx.close();
    };
    let consume = async {
        while let Ok(value) = rx.recv().await {
            assert!(Rc::ptr_eq(&mine, &value));
            value.set(value.get() + 1);
        }
    };
    pollster::block_on(futures_lite::future::zip(produce, consume));
    assert_eq!((mine.get(), Rc::strong_count(&mine)), (3, 1));
}

/// Two values each way between two threads.
fn between_threads<T: Send, U: Send>(
    make: impl Fn(u8) -> (T, U) + Sync,
    check: impl Fn(u8, &T, &U) + Sync,
) {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<T, U>();
    thread::scope(|scope| {
        let (make, check) = (&make, &check);
        scope.spawn(move || {
            let first = server.demand().wait().unwrap();
            check(0, &make(0).0, &first);
            let Ok(second) = server.exchange(make(0).0).wait() else { panic!("no second") };
            check(1, &make(1).0, &second);
            assert!(server.finish_with(make(1).0).is_ok());
        });
        for round in 0..2 {
            let Ok(answer) = client.exchange(make(round).1).wait() else { panic!("no answer") };
            check(round, &answer, &make(round).1);
        }
    });
}

#[test]
fn borrowed_values_in_scoped_threads() {
    let words = [String::from("zero"), String::from("one")];
    let expected = words.clone();
    between_threads::<&str, &[String]>(
        |round| (&words[usize::from(round)], &words[usize::from(round)..]),
        |round, down, up| {
            assert_eq!(*down, expected[usize::from(round)]);
            assert_eq!(*up, &expected[usize::from(round)..]);
        },
    );
}

#[test]
fn mutably_borrowed_values_come_back() {
    let mut numbers = [1, 2, 3];
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<&mut i32, &mut i32>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut demand = server.demand().wait();
            while let Ok(number) = demand {
                *number *= 10;
                match server.exchange(number).wait() {
                    Ok(next) => demand = Ok(next),
                    Err(_) => return,
                }
            }
        });
        for number in &mut numbers {
            let Ok(back) = client.exchange(number).wait() else { panic!("no answer") };
            *back += 1;
        }
        drop(client);
    });
    assert_eq!(numbers, [11, 21, 31]);
}

#[test]
fn values_without_a_size() {
    between_threads::<(), ()>(|_| ((), ()), |_, (), ()| {});
    struct Nothing;
    between_threads::<Nothing, [u64; 0]>(|_| (Nothing, []), |_, Nothing, []| {});
}

#[test]
fn large_and_strictly_aligned_values() {
    #[derive(PartialEq, Debug)]
    #[repr(align(256))]
    struct Aligned([u8; 4096]);
    between_threads::<[u8; 4096], Aligned>(
        |round| ([round; 4096], Aligned([!round; 4096])),
        |round, down, up| {
            assert_eq!(*down, [round; 4096]);
            assert_eq!(*up, Aligned([!round; 4096]));
            assert!(std::ptr::from_ref(up).addr().is_multiple_of(256));
        },
    );
}

#[test]
fn values_that_are_not_unpin() {
    between_threads::<Pinned, Pinned>(
        |round| (Pinned(round, PhantomPinned), Pinned(round, PhantomPinned)),
        |round, down, up| assert_eq!((down.0, up.0), (round, round)),
    );
}

#[test]
fn values_that_are_not_shared() {
    between_threads::<Unshared, RefCell<String>>(
        |round| (Cell::new(round), RefCell::new(round.to_string())),
        |round, down, up| {
            assert_eq!(down.get(), round);
            assert_eq!(*up.borrow(), round.to_string());
        },
    );
}

#[test]
fn local_values_in_one_task() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<Rc<Cell<u8>>, Rc<Cell<u8>>>();
    let produce = async {
        let mut demand = server.demand().await.unwrap();
        for _ in 0..2 {
            demand.set(demand.get() + 1);
            demand = server.exchange(Rc::clone(&demand)).await.unwrap();
        }
        server.finish_with(demand).unwrap();
    };
    let consume = async {
        for round in 0..3 {
            let mine = Rc::new(Cell::new(round));
            let back = client.exchange(Rc::clone(&mine)).await.unwrap();
            assert!(Rc::ptr_eq(&mine, &back));
            assert_eq!(back.get(), if round < 2 { round + 1 } else { round });
        }
    };
    pollster::block_on(futures_lite::future::zip(produce, consume));
}

#[test]
fn errors_are_boxed() {
    fn send(server: &mut Server<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        server.send(1).now()?;
        Ok(())
    }
    fn send_all(server: &mut Server<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        server.send_all([1, 2]).now()?;
        Ok(())
    }
    let (mut server, client) = simplex();
    drop(client);
    assert!(send(&mut server).unwrap_err().is::<SendError<u8>>());
    assert!(send_all(&mut server).unwrap_err().to_string().contains("not all items"));
}

#[test]
fn an_end_outlives_a_caught_panic() {
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex();
    let result = catch_unwind(move || {
        drop(client);
        std::panic::resume_unwind(Box::new(1_u8));
    });
    assert!(result.is_err());
    assert_eq!(server.send(1).wait().unwrap_err().why(), Why::Dropped);
}
