//! Operations that are given up at the moment at which the peer completes them.

use std::mem;
use std::task::Poll;
use std::time::Duration;

use super::requests::*;
use crate::support::thread;
use crate::support::*;
use handover::stream;

#[test]
fn timeouts_that_race_with_delivery_lose_nothing() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("timeouts_that_race_with_delivery", Duration::from_secs(4));
    while stress.goes_on() {
        let census = Census::new();
        let (mut writer, mut reader) = stream();
        let (mut here, mut there) = (stress.fork(), stress.fork());
        let got = thread::scope(|scope| {
            let made = &census;
            scope.spawn(move || {
                let mut kept: Vec<Counted> = Vec::new();
                while made.made() < 200 || !kept.is_empty() {
                    let time = Duration::from_nanos(here.below(20_000));
                    dither(here.below(200));
                    // Values that come back are sent again, in the same order.
                    match here.below(5) {
                        0 => {
                            let item = if kept.is_empty() { made.make() } else { kept.remove(0) };
                            if let Err(error) = writer.send(item).wait_timeout(time) {
                                assert!(error.is_timed_out());
                                kept.insert(0, error.into_unsent().expect("not taken"));
                            }
                        }
                        4 => {
                            _ = writer.flush().wait_timeout(time);
                        }
                        kind => {
                            let mut items = mem::take(&mut kept);
                            items.extend((0..here.below(4)).map(|_| made.make()));
                            let result = if kind == 1 {
                                writer
                                    .write_local(items)
                                    .wait_timeout(time)
                                    .map_err(|error| error.into_rest().collect())
                            } else {
                                writer
                                    .write(items)
                                    .wait_timeout(time)
                                    .map_err(|error| error.into_rest().collect())
                            };
                            kept = result.err().unwrap_or_default();
                        }
                    }
                }
                writer.finish().unwrap();
            });
            let mut got = Vec::new();
            while reader.end().is_none() {
                let ask = Ask::SMALL[there.below(Ask::SMALL.len() as u64) as usize];
                let time = (there.below(4) > 0).then(|| Duration::from_nanos(there.below(20_000)));
                dither(there.below(200));
                if ask == Ask::ReadAll && there.below(4) > 0 {
                    continue;
                }
                got.extend(ask_briefly(&mut reader, ask, time).into_iter().flatten());
            }
            got
        });
        let ids: Vec<_> = got.iter().map(|item| item.id).collect();
        assert!(ids.iter().copied().eq(0..census.made()), "{ids:?}");
        drop((got, reader));
        census.assert_settled();
    }
}

#[test]
fn reads_polled_once_on_two_threads_lose_no_wake_up() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("reads_polled_once_on_two_threads", Duration::from_secs(4));
    while stress.goes_on() {
        let (mut writer, mut reader) = stream();
        let mut there = stress.fork();
        let mut here = stress.fork();
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..100 {
                    dither(here.below(300));
                    writer.send(2 * n).wait().unwrap();
                    pollster::block_on(writer.write_local([2 * n + 1])).unwrap();
                }
                writer.finish().unwrap();
            });
            let mut got = Vec::new();
            while reader.end().is_none() {
                for _ in 0..there.below(3) {
                    let ask = Ask::SMALL[there.below(Ask::SMALL.len() as u64) as usize];
                    let polled = poll_once(&mut begin(&mut reader, ask));
                    if let Poll::Ready(items) = polled {
                        got.extend(items.into_iter().flatten());
                    }
                    dither(there.below(300));
                }
                // This request waits until it is woken. Only the watchdog bounds it.
                let asks =
                    [Ask::Recv, Ask::Read(2), Ask::ReadSome(3), Ask::ReadOnce, Ask::Ahead(3)];
                let ask = asks[there.below(asks.len() as u64) as usize];
                got.extend(pollster::block_on(begin(&mut reader, ask)).into_iter().flatten());
            }
            assert!(got.into_iter().eq(0..200));
        });
    }
}
