//! What the iterators that are written may do: lie, ask, drop, block.

use std::cell::RefCell;
use std::iter;
use std::sync::{Arc, Mutex};

use super::requests::*;
use crate::support::thread;
use crate::support::*;
use handover::{Why, Writer, stream};

#[test]
fn lying_iterators_come_whole_and_once() {
    for what in Ask::ALL {
        for promise in [
            (usize::MAX, None),
            (usize::MAX, Some(usize::MAX)),
            (usize::MAX, Some(0)),
            (0, Some(0)),
            (3, Some(2)),
            (0, None),
        ] {
            check(
                async |how, mut writer| {
                    how.run(writer.write(Promising(0..7, promise))).await.unwrap();
                    how.run(writer.write_local(Promising(7..9, promise))).await.unwrap();
                    how.run(writer.write(Promising(9..9, promise))).await.unwrap();
                    how.run(writer.send(9)).await.unwrap();
                    writer.finish().unwrap();
                },
                async |how, mut reader| {
                    let drained = flat(drain(how, &mut reader, what).await);
                    assert_eq!(drained, ((0..10).collect(), Why::Closed), "{what:?} {promise:?}");
                },
            );
        }
    }
}

#[test]
fn a_lying_iterator_comes_back_whole() {
    let _watchdog = Watchdog::new();
    for taken in 0..5 {
        let (mut writer, mut reader) = stream();
        let mut write = writer.write(Promising(0..5, (0, Some(0))));
        for n in 0..taken {
            let mut recv = reader.recv();
            pend(&mut recv);
            pend(&mut write);
            assert_eq!(ready(&mut recv), Ok(n));
            drop(recv);
            _ = poll_once(&mut write);
        }
        drop(reader);
        assert!(ready(&mut write).unwrap_err().into_rest().eq(taken..5), "{taken}");
    }
}

#[test]
fn zero_sized_items_are_counted() {
    for what in Ask::ALL {
        check(
            async |how, mut writer| {
                how.run(writer.write(iter::repeat_n((), 10))).await.unwrap();
                how.run(writer.send(())).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let (items, end) = flat(drain(how, &mut reader, what).await);
                assert_eq!((items.len(), end), (11, Why::Closed), "{what:?}");
            },
        );
    }
}

#[test]
fn large_and_empty_and_borrowed_items_work() {
    check(
        async |how, mut writer: Writer<([u8; 10_000], &str)>| {
            let text = "one two";
            how.run(writer.write_local(text.split(' ').map(|word| ([1; 10_000], word))))
                .await
                .unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let items = how.run(reader.read_all()).await.unwrap();
            assert!(items.iter().all(|item| item.0 == [1; 10_000]));
            assert!(items.iter().map(|item| item.1).eq(["one", "two"]));
        },
    );
}

#[test]
fn an_iterator_may_ask_its_own_reader() {
    let _watchdog = Watchdog::new();
    for standing in 0..4 {
        let (mut writer, reader) = stream();
        let reader = RefCell::new(reader);
        match standing {
            0 => pend(&mut reader.borrow_mut().recv()),
            1 => pend(&mut reader.borrow_mut().read(3)),
            2 => pend(&mut reader.borrow_mut().read_some(3)),
            _ => pend(&mut reader.borrow_mut().read_all()),
        }
        let mut n = 0;
        let items = iter::from_fn(|| {
            n += 1;
            let mut reader = reader.borrow_mut();
            assert!(reader.recv().now().unwrap_err().is_not_ready());
            assert!(reader.read(2).now().unwrap_err().is_not_ready());
            assert_eq!(reader.read(0).now().unwrap().len(), 0);
            (n < 4).then_some(n)
        });
        let mut write = writer.write_local(items);
        let mut got = Vec::new();
        while poll_once(&mut write).is_pending() {
            got.extend(reader.borrow_mut().recv().now().ok());
        }
        drop(write);
        got.extend(reader.borrow_mut().recv().now().ok());
        writer.finish().unwrap();
        got.extend(reader.borrow_mut().read_all().now().unwrap());
        assert_eq!(got, [1, 2, 3], "{standing}");
    }
}

#[test]
fn an_iterator_may_drop_its_own_reader() {
    let _watchdog = Watchdog::new();
    for standing in 0..4 {
        let (mut writer, mut reader) = stream();
        match standing {
            0 => pend(&mut reader.recv()),
            1 => pend(&mut reader.read(3)),
            2 => pend(&mut reader.read_some(3)),
            _ => pend(&mut reader.read_once()),
        }
        let mut reader = Some(reader);
        let items = (0..5).inspect(|_| drop(reader.take()));
        let error = writer.write_local(items).wait().unwrap_err();
        assert_eq!(error.why(), Why::Dropped);
        assert!(error.into_rest().eq(0..5), "{standing}");
    }
}

#[test]
fn an_iterator_may_use_its_own_writer_at_the_reader() {
    let _watchdog = Watchdog::new();
    let (writer, mut reader) = stream();
    let writer = Arc::new(Mutex::new(Some(writer)));
    let at_reader = Arc::clone(&writer);
    let items = (0..4).inspect(move |&n| {
        let mut writer = at_reader.lock().unwrap();
        if n == 3 {
            return writer.take().unwrap().finish().unwrap();
        }
        let error = writer.as_mut().unwrap().send(10).now().unwrap_err();
        assert!(error.is_not_ready());
    });
    pend(&mut reader.read_once());
    let mut lent = writer.lock().unwrap();
    let mut write = lent.as_mut().unwrap().write(items);
    pend(&mut write);
    let batch = reader.read_once().now().unwrap();
    ready(&mut write).unwrap();
    drop(write);
    drop(lent);
    assert!(batch.eq(0..4));
    assert_eq!(reader.recv().now().unwrap_err().why(), Why::Closed);
}

#[test]
fn an_iterator_may_block_on_another_channel() {
    let _watchdog = Watchdog::new();
    let (mut first, mut middle) = stream();
    let (mut second, mut last) = stream();
    thread::scope(|scope| {
        scope.spawn(move || first.write(0..1000_u32).wait().map(|()| first.finish()));
        scope.spawn(move || {
            second.write_local(middle.iter().map(|n| n * 2)).wait().unwrap();
            assert_eq!(middle.end(), Some(Why::Closed));
            second.finish().unwrap();
        });
        assert_eq!(last.read(10).wait().unwrap(), (0..20).step_by(2).collect::<Vec<_>>());
        assert!(last.ahead(16).eq((20..2000).step_by(2)));
    });
}

#[test]
fn an_iterator_is_not_asked_again_after_its_end() {
    for what in Ask::ALL {
        check(
            async |how, mut writer| {
                let not_fused = || {
                    let mut step = 0;
                    iter::from_fn(move || {
                        step += 1;
                        (step != 3).then_some(step)
                    })
                };
                how.run(writer.write(not_fused())).await.unwrap();
                how.run(writer.write_local(not_fused())).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let drained = flat(drain(how, &mut reader, what).await);
                assert_eq!(drained, (vec![1, 2, 1, 2], Why::Closed), "{what:?}");
            },
        );
    }
}

#[test]
fn a_whole_write_at_the_reader_tells_how_many_items_are_left() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    let mut read = reader.read_once();
    pend(&mut read);
    let mut write = writer.write(vec![1, 2, 3]);
    pend(&mut write);
    let mut batch = ready(&mut read).unwrap();
    for left in (1..=3).rev() {
        assert_eq!(batch.size_hint(), (left, Some(left)));
        assert!(batch.next().is_some());
    }
    assert_eq!(batch.size_hint(), (0, Some(0)));
    assert_eq!(batch.next(), None);
}
