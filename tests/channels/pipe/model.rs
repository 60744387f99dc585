//! Random sizes on both sides against a hash, and random steps against a reference that keeps only a list.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::time::Duration;

use super::*;
use handover::pipe;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn by() -> impl Strategy<Value = By> {
    (0..By::ALL.len()).prop_map(|n| By::ALL[n])
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1..20_usize, 1..5_000_usize, 60_000..140_000_usize]
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    /// Through three slices.
    WriteSlices(usize),
    Read(usize),
    Fill(usize),
    Finished,
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40_usize).prop_map(Step::Write),
        2 => (0..40_usize).prop_map(Step::WriteSlices),
        8 => (0..40_usize).prop_map(Step::Read),
        4 => (0..40_usize).prop_map(Step::Fill),
        1 => Just(Step::Finished),
        1 => Just(Step::Leave),
    ]
}

/// What a pipe is, in a few lines.
#[derive(Default)]
struct Reference {
    /// What the standing request still has room for.
    room: usize,
    /// What was written into it.
    filled: VecDeque<u8>,
    is_asked: bool,
    /// What the reader holds.
    unread: VecDeque<u8>,
    has_left: bool,
}

impl Reference {
    fn write(&mut self, data: &[u8]) -> Option<usize> {
        let n = data.len().min(self.room);
        if data.is_empty() || (self.is_asked && n > 0) {
            self.filled.extend(&data[..n]);
            self.room -= n;
            return Some(n);
        }
        None
    }

    /// `Some(0)`: the end.
    fn await_bytes(&mut self, asked: usize) -> Option<usize> {
        if self.unread.is_empty() {
            if !self.filled.is_empty() {
                self.unread = std::mem::take(&mut self.filled);
                (self.room, self.is_asked) = (0, false);
            } else if self.has_left {
                return Some(0);
            } else if !self.is_asked {
                (self.room, self.is_asked) = (asked.min(64 * 1024), true);
                return None;
            } else {
                return None;
            }
        }
        Some(self.unread.len())
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.unread.len());
        self.unread.drain(..n).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_sizes_on_both_sides_keep_the_hash(
        writes in prop::collection::vec(size(), 1..40),
        reads in prop::collection::vec(prop_oneof![4 => size(), 1 => Just(0_usize)], 1..20),
        write_by in by(),
        read_by in by(),
    ) {
        let _watchdog = Watchdog::new();
        let (mut writer, mut reader) = pipe();
        let (sent, got) = apart(
            (write_by, read_by),
            async |by| {
                let (mut hash, mut next) = (Sha256::new(), 0_usize);
                for size in writes {
                    let data: Vec<u8> = (next..next + size).map(|n| (n.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
                    hash.update(&data);
                    by.write_all(&mut writer, &data, usize::MAX).await.unwrap();
                    next += size;
                }
                by.finish(writer).await.unwrap();
                hash.finalize()
            },
            async |by| {
                let mut hash = Sha256::new();
                for length in reads.into_iter().cycle() {
                    let bytes = if length == 0 {
                        by.fill(&mut reader, usize::MAX).await.unwrap()
                    } else {
                        let mut into = vec![0; length];
                        let n = by.read(&mut reader, &mut into).await.unwrap();
                        into.truncate(n);
                        into
                    };
                    if bytes.is_empty() {
                        break;
                    }
                    hash.update(&bytes);
                }
                hash.finalize()
            },
        );
        prop_assert_eq!(sent, got);
    }

    #[test]
    fn random_steps_do_as_the_reference(steps in prop::collection::vec(step(), 1..200)) {
        let (writer, mut reader) = pipe();
        let mut writer = Some(writer);
        let mut reference = Reference::default();
        reader.set_timeout(Some(Duration::ZERO));
        let mut next = 0_u8;
        for step in steps {
            match step {
                Step::Write(n) | Step::WriteSlices(n) => {
                    let Some(writer) = &mut writer else { continue };
                    writer.set_timeout(Some(Duration::ZERO));
                    let data: Vec<u8> = (0..n).map(|n| next.wrapping_add(n as u8)).collect();
                    let written = if matches!(step, Step::Write(_)) {
                        writer.write(&data)
                    } else {
                        let (a, rest) = data.split_at(n / 3);
                        let (b, c) = rest.split_at(rest.len() / 2);
                        writer.write_vectored(&[a, b, c].map(std::io::IoSlice::new))
                    };
                    let written = written.ok();
                    next = next.wrapping_add(written.unwrap_or(0) as u8);
                    prop_assert_eq!(written, reference.write(&data));
                }
                Step::Read(n) => {
                    let mut into = vec![0; n];
                    let read = reader.read(&mut into).ok();
                    let expected = if n == 0 { Some(0) } else { reference.await_bytes(n) };
                    let expected = expected.map(|_| reference.take(n));
                    prop_assert_eq!(read.map(|read| into[..read].to_vec()), expected);
                }
                Step::Fill(n) => {
                    let filled = reader.fill_buf().ok().map(<[u8]>::to_vec);
                    reader.consume(n);
                    let expected = reference.await_bytes(64 * 1024);
                    let unread: Vec<u8> = reference.unread.iter().copied().collect();
                    reference.take(n);
                    prop_assert_eq!(filled, expected.map(|_| unread));
                }
                Step::Finished => {
                    let is_finished = reader.finished().now().is_ok();
                    reference.unread.clear();
                    while reference.await_bytes(64 * 1024).is_some_and(|n| n > 0) {
                        reference.unread.clear();
                    }
                    prop_assert_eq!(is_finished, reference.has_left);
                }
                Step::Leave => {
                    if let Some(writer) = writer.take() {
                        writer.finish().unwrap();
                    }
                    reference.has_left = true;
                }
            }
        }
    }
}
