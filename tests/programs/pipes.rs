//! Bytes, by the traits of `futures_io` and of `std::io`.
//!
//! The bytes count up, so each tells where it belongs.

#[cfg(feature = "futures-io")]
pub(crate) use with::{PipeReads, PipeWrites, ends};
#[cfg(not(feature = "futures-io"))]
pub(crate) use without::{PipeReads, PipeWrites, ends};

#[cfg(feature = "futures-io")]
mod with {
    use std::future::Future;
    use std::io::{self, BufRead as _, Read as _, Write as _};
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use futures_io::{AsyncBufRead as _, AsyncRead as _, AsyncWrite as _};
    use handover::{PipeReader, PipeWriter, Why, pipe};

    use crate::programs::acts::End;
    use crate::programs::out::Out;
    use crate::programs::party::{Command, Seat, Ways};
    use crate::programs::world::{Arm, SENDING};

    pub(crate) struct PipeWrites(PipeWriter);

    pub(crate) struct PipeReads(PipeReader);

    pub(crate) fn ends() -> (End, End) {
        let (writer, reader) = pipe();
        (End::PipeWriter(PipeWrites(writer)), End::PipeReader(PipeReads(reader)))
    }

    fn why(error: &io::Error) -> Why {
        *error.get_ref().and_then(|inner| inner.downcast_ref()).expect("a `Why` inside")
    }

    /// A call as a thread whose time is up.
    const NO_TIME: Option<Duration> = Some(Duration::ZERO);

    struct Writes<'a> {
        writer: &'a mut PipeWriter,
        bytes: Vec<u8>,
    }

    impl Future for Writes<'_> {
        type Output = io::Result<usize>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let Self { writer, bytes } = self.get_mut();
            Pin::new(&mut **writer).poll_write(context, bytes)
        }
    }

    impl Writes<'_> {
        fn at_once(self) -> io::Result<usize> {
            self.writer.set_timeout(NO_TIME);
            self.writer.write(&self.bytes)
        }
    }

    struct Reads<'a> {
        reader: &'a mut PipeReader,
        most: usize,
        by_buffer: bool,
    }

    impl Future for Reads<'_> {
        type Output = io::Result<Vec<u8>>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let Self { reader, most, by_buffer } = self.get_mut();
            if *by_buffer {
                let buffer = ready!(Pin::new(&mut **reader).poll_fill_buf(context))?;
                let bytes = buffer[..buffer.len().min(*most)].to_vec();
                Pin::new(&mut **reader).consume(bytes.len());
                return Poll::Ready(Ok(bytes));
            }
            let mut bytes = vec![0; *most];
            let count = ready!(Pin::new(&mut **reader).poll_read(context, &mut bytes))?;
            bytes.truncate(count);
            Poll::Ready(Ok(bytes))
        }
    }

    impl Reads<'_> {
        fn at_once(self) -> io::Result<Vec<u8>> {
            self.reader.set_timeout(NO_TIME);
            if self.by_buffer {
                let buffer = self.reader.fill_buf()?;
                let bytes = buffer[..buffer.len().min(self.most)].to_vec();
                self.reader.consume(bytes.len());
                return Ok(bytes);
            }
            let mut bytes = vec![0; self.most];
            let count = self.reader.read(&mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        }
    }

    impl PipeWrites {
        pub(crate) async fn write(
            &mut self,
            seat: &Seat,
            arm: Arm,
            n: usize,
            first: Option<Command>,
        ) {
            let channel = arm.channel;
            let written = seat.world.borrow().channels[channel].written;
            let bytes = (written..written + n).map(|place| place as u8).collect();
            let op = Writes { writer: &mut self.0, bytes };
            let ways = Ways::of_future(&op).with_time_out(|op| Some(op.at_once()));
            let Some((out, way)) = seat.drive(vec![arm], op, first, ways).await else { return };
            let out = out.map_err(|error| why(&error)).map(|count| {
                assert!((1..=n).contains(&count), "{count} of {n} bytes were written");
                seat.world.borrow_mut().channels[channel].written += count;
            });
            seat.world.borrow_mut().finish(seat.number, 0, Out::Done(out), way);
        }

        pub(crate) fn finish(self) {
            // The reader may have left.
            _ = self.0.finish();
        }
    }

    impl PipeReads {
        pub(crate) async fn read(
            &mut self,
            seat: &Seat,
            arm: Arm,
            code: u8,
            n: usize,
            first: Option<Command>,
        ) {
            let channel = arm.channel;
            let op = Reads { reader: &mut self.0, most: n, by_buffer: code % 2 == 0 };
            let ways = Ways::of_future(&op).with_time_out(|op| Some(op.at_once()));
            let Some((out, way)) = seat.drive(vec![arm], op, first, ways).await else { return };
            let mut world = seat.world.borrow_mut();
            // A write that the reader's waker interrupts has written, and does not tell how much.
            let is_known = !world.is_disturbed;
            let it = &mut world.channels[channel];
            let out = match out {
                Ok(bytes) if bytes.is_empty() => {
                    assert_eq!(it.said[SENDING], Some(Why::Closed), "an end that nobody has told");
                    assert!(!is_known || it.read == it.written, "bytes are missing");
                    it.is_end_told = true;
                    Ok(())
                }
                Ok(bytes) => {
                    for byte in bytes {
                        assert!(!is_known || byte == it.read as u8, "{byte} is not the next byte");
                        it.read += 1;
                    }
                    assert!(!is_known || it.read <= it.written, "bytes that nobody wrote");
                    Ok(())
                }
                Err(error) => {
                    let why = why(&error);
                    let is_all = it.read == it.written || !is_known;
                    assert!(!why.is_end() || is_all, "bytes are missing");
                    assert_ne!(why, Why::Closed, "a finished pipe ends with no error");
                    Err(why)
                }
            };
            world.finish(seat.number, 0, Out::Done(out), way);
        }
    }
}

#[cfg(not(feature = "futures-io"))]
mod without {
    use crate::programs::acts::End;
    use crate::programs::party::{Command, Seat};
    use crate::programs::world::Arm;

    pub(crate) enum PipeWrites {}

    pub(crate) enum PipeReads {}

    pub(crate) fn ends() -> (End, End) {
        unreachable!("without the feature there is no pipe in a program")
    }

    impl PipeWrites {
        pub(crate) async fn write(&mut self, _: &Seat, _: Arm, _: usize, _: Option<Command>) {
            match *self {}
        }

        pub(crate) fn finish(self) {
            match self {}
        }
    }

    impl PipeReads {
        pub(crate) async fn read(&mut self, _: &Seat, _: Arm, _: u8, _: usize, _: Option<Command>) {
            match *self {}
        }
    }
}
