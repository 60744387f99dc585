//! `export_reader` and `import_reader`: a `Reader` in another process than its `Writer`.
//!
//! A demand is what the importing side's reader wants, an answer a batch: the number of its items, whether the writer flushed, and
//! the items one after the other. What does not fit into an answer stays with the exporting side and begins the next answer.

use std::collections::VecDeque;
use std::mem;

use futures_lite::future::or;
use handover::{Reader, RecvError, Want, Why, Writer, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zenoh::Session;

use crate::answering::{Desk, Ended, Made, Source, serve};
use crate::asking::Line;
use crate::codec;
use crate::driver::Driver;
use crate::error::Error;
use crate::lockstep::{Answer, answer};
use crate::options::Options;

/// A whole write, for a reader that asks for one, has no more items than this on its way.
const WRITE: u64 = 1024;

/// An answer to a request without a bound, or with a very large one, has so many items until their size is known, and no more than the
/// most: a peer cannot make this process hold without end.
const FIRST_PIECE: usize = 64;
const MOST: u64 = 1 << 16;

/// A request, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Wanted {
    One,
    Exactly(u64),
    UpTo(u64),
    /// As many as an answer holds: `read_all`.
    All,
}

impl Wanted {
    fn new(want: Want) -> Self {
        match want {
            Want::Exactly(usize::MAX) => Wanted::All,
            Want::Exactly(n) => Wanted::Exactly(n as u64),
            Want::UpTo(n) => Wanted::UpTo(n as u64),
            Want::Write => Wanted::UpTo(WRITE),
            _ => Wanted::One,
        }
    }

    /// The most items that an answer may have.
    const fn most(self) -> u64 {
        match self {
            Wanted::One => 1,
            Wanted::Exactly(n) | Wanted::UpTo(n) => n,
            Wanted::All => MOST,
        }
    }
}

/// The begin of a batch, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Batch {
    items: u64,
    /// The writer has handed over fewer than were asked for, by a flush or at its end: so does the importing side.
    is_short: bool,
}

/// Exports a reader under a key: the process that imports it reads in its place. The writer stays here, with the local producer.
///
/// As [`export`](crate::export), with batches: the importing side's `read(n)` travels as one question, and
/// [`Writer::wanted`](handover::Writer::wanted) tells it to the producer. An answer has at most [`max_batch_bytes`](Options::max_batch_bytes); a batch that is larger
/// goes over in several, none of which is more than that.
///
/// # Errors
///
/// As [`export`](crate::export). An item that alone is above the bound is [`Error::TooLarge`].
///
/// In [`Ended`], `in_doubt` is the items of the last answer, and `unsent` those that were read from the writer and not sent, or
/// sent and not used.
///
/// # Cancel safety
///
/// If it is dropped, nothing is exported, and the reader is dropped.
///
/// ```
/// use handover::{Why, stream};
/// use handover_remote::{Options, export_reader, import_reader, open_local, zenoh};
/// use std::thread;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
/// let (mut writer, reader) = stream::<u64>();
/// thread::spawn(move || {
///     writer.write(0..1000).wait().unwrap();
///     writer.finish().unwrap();
/// });
/// let exporting = tokio::spawn(export_reader(&session, "numbers", reader, Options::default()).await.unwrap());
///
/// let (mut reader, driver) = import_reader::<u64>(&session, "numbers", Options::default()).await.unwrap();
/// tokio::spawn(driver);
/// assert_eq!(reader.read(3).await.unwrap(), [0, 1, 2]);
/// assert_eq!(reader.read_all().await.unwrap().len(), 997);
///
/// assert_eq!(exporting.await.unwrap().why, Why::Closed);
/// # });
/// ```
pub async fn export_reader<T>(
    session: &Session,
    key: &str,
    reader: Reader<T>,
    options: Options,
) -> Result<Driver<Ended<Vec<T>>>, Error>
where
    T: Serialize + Send + 'static,
{
    let desk = Desk::open(session, key, options).await?;
    let source = Batches {
        reader,
        left_over: VecDeque::new(),
        was_short: false,
        item_size: None,
        limit: options.max_batch_bytes,
    };
    Ok(Driver::new(serve(desk, source)))
}

struct Batches<T> {
    reader: Reader<T>,
    /// Items that did not fit into the last answer.
    left_over: VecDeque<T>,
    /// They are the end of a short batch.
    was_short: bool,
    /// What an item took in the last answer.
    item_size: Option<usize>,
    limit: usize,
}

impl<T: Serialize + Send> Source for Batches<T> {
    type Kept = Vec<T>;

    async fn make(&mut self, demand: &[u8], head: Vec<u8>) -> Made<Vec<T>> {
        let wanted = match codec::read::<Wanted>(demand) {
            Ok(wanted) => wanted,
            Err(error) => return Made::Failed { error, unsent: None },
        };
        if self.left_over.is_empty() {
            match self.read(wanted).await {
                Ok(items) => self.left_over = items.into(),
                Err(error) => return Made::End(error.why()),
            }
        }
        match self.pack(wanted, head) {
            Ok((bytes, kept)) => Made::Answer { bytes, kept },
            Err(error) => {
                Made::Failed { error, unsent: Some(mem::take(&mut self.left_over).into()) }
            }
        }
    }

    fn unused(&mut self, mut kept: Vec<T>, unused: u64) -> Option<Vec<T>> {
        let unused = usize::try_from(unused).unwrap_or(usize::MAX).min(kept.len());
        (unused > 0).then(|| kept.split_off(kept.len() - unused))
    }

    fn leave(self, why: Why, unsent: Option<Vec<T>>) -> Option<Vec<T>> {
        self.reader.end_as(why);
        let mut items = unsent.unwrap_or_default();
        items.extend(self.left_over);
        (!items.is_empty()).then_some(items)
    }
}

impl<T: Serialize + Send> Batches<T> {
    async fn read(&mut self, wanted: Wanted) -> Result<Vec<T>, RecvError> {
        let n = match wanted {
            Wanted::One => {
                self.was_short = false;
                return Ok(vec![self.reader.recv().await?]);
            }
            Wanted::UpTo(n) => {
                self.was_short = false;
                return self.reader.read_some(to_usize(n.min(MOST))).await;
            }
            Wanted::Exactly(n @ ..=MOST) => to_usize(n),
            Wanted::Exactly(_) | Wanted::All => match self.item_size {
                Some(size) => (self.limit / size.max(1)).clamp(1, to_usize(MOST)),
                None => FIRST_PIECE,
            },
        };
        let items = self.reader.read(n).await?;
        self.was_short = items.len() < n;
        if items.is_empty() {
            // A finished stream gives an empty batch once, and its end from then on.
            return self.reader.recv().await.map(|item| vec![item]);
        }
        Ok(items)
    }

    /// Writes as many of the items as the request and the bound allow. The others stay.
    fn pack(&mut self, wanted: Wanted, head: Vec<u8>) -> Result<(Vec<u8>, Vec<T>), Error> {
        let mut body = Vec::new();
        let mut fit = 0;
        let most = to_usize(wanted.most());
        for item in self.left_over.iter().take(most) {
            let before = body.len();
            body = codec::append(item, body)?;
            if body.len() > self.limit {
                if fit == 0 {
                    codec::check_size(body.len(), self.limit)?;
                }
                body.truncate(before);
                break;
            }
            fit += 1;
        }
        self.item_size = Some(body.len() / fit.max(1));
        let kept: Vec<T> = if fit == self.left_over.len() {
            mem::take(&mut self.left_over).into()
        } else {
            self.left_over.drain(..fit).collect()
        };
        let is_short = self.was_short && self.left_over.is_empty();
        let mut bytes = codec::append(&Batch { items: fit as u64, is_short }, head)?;
        bytes.extend_from_slice(&body);
        Ok((bytes, kept))
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Imports the reader that another process has exported under this key: the reader is here, its writer there.
///
/// As [`import`](crate::import). A read of `n` items is one question if the answer fits into [`max_batch_bytes`](Options::max_batch_bytes) of the exporting side. `read_all` asks
/// for as many at a time as fit, `read_once` for at most 1,024. The larger the batch, the less the way there and back costs an item: see the table in the
/// crate's README.
///
/// # Errors
///
/// As [`import`](crate::import).
///
/// # Cancel safety
///
/// If it is dropped, nothing is imported.
///
/// ```
/// use handover::stream;
/// use handover_remote::{Options, export_reader, import_reader, open_local, zenoh};
/// # use std::thread;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
/// # let (mut writer, reader) = stream::<u32>();
/// # thread::spawn(move || writer.write(0..100).wait().map(|()| writer.finish()));
/// # tokio::spawn(export_reader(&session, "numbers", reader, Options::default()).await.unwrap());
/// let (reader, driver) = import_reader::<u32>(&session, "numbers", Options::default()).await.unwrap();
/// let importing = tokio::spawn(driver);
/// // Batches of 16, the next one asked for while this one is used.
/// let sum = tokio::task::spawn_blocking(move || reader.into_ahead(16).sum::<u32>()).await.unwrap();
/// assert_eq!(sum, 4950);
/// importing.await.unwrap().unwrap();
/// # });
/// ```
pub async fn import_reader<T>(
    session: &Session,
    key: &str,
    options: Options,
) -> Result<(Reader<T>, Driver<Result<(), Error>>), Error>
where
    T: DeserializeOwned + Send + 'static,
{
    let line = Line::open(session, key, options).await?;
    let (writer, reader) = stream();
    Ok((reader, Driver::new(ask(line, writer))))
}

/// Passes requests of the local reader on, and batches back, until one side ends.
async fn ask<T>(mut line: Line, mut writer: Writer<T>) -> Result<(), Error>
where
    T: DeserializeOwned + Send + 'static,
{
    let consumer = writer.peer();
    loop {
        let next = async { writer.wanted().await.map_err(|error| Next::Left(error.why())) };
        let wanted = match or(next, async { Err(Next::Gone(line.gone().await)) }).await {
            Ok(want) => Wanted::new(want),
            Err(Next::Left(why)) => {
                let unused = writer.finish().err().and_then(|error| error.into_unsent());
                line.leave(why, unused.map_or(0, |items| items.len() as u64), "").await;
                return Ok(());
            }
            Err(Next::Gone(error)) => {
                _ = writer.end_as(Why::Dropped);
                return Err(error);
            }
        };
        let begun = codec::append(&wanted, vec![]).and_then(|bytes| line.demand(&bytes));
        if let Err(error) = begun {
            _ = writer.end_as(Why::Dropped);
            line.leave(Why::Dropped, 0, &error.to_string()).await;
            return Err(error);
        }
        let (payload, at) = match answer(&mut line, &consumer).await {
            Answer::Item(payload, at) => (payload, at),
            Answer::End(why, fault) => {
                _ = writer.end_as(why);
                line.acknowledge_end().await;
                return if fault.is_empty() { Ok(()) } else { Err(Error::Peer(fault)) };
            }
            Answer::Left(why) => {
                line.leave(why, u64::MAX, "").await;
                return Ok(());
            }
            Answer::Failed(error) => {
                _ = writer.end_as(Why::Dropped);
                return Err(error);
            }
        };
        let (items, is_short) = match unpack(&payload.to_bytes()[at..], wanted) {
            Ok(batch) => batch,
            Err(error) => {
                _ = writer.end_as(Why::Dropped);
                line.leave(Why::Dropped, u64::MAX, &error.to_string()).await;
                return Err(error);
            }
        };
        let written = match writer.write(items).await {
            Ok(()) => Ok(()),
            Err(error) => Err((error.why(), error.into_rest().count() as u64)),
        };
        let flushed = match written {
            Ok(()) if is_short => writer.flush().await.map_err(|error| (error.why(), 0)),
            other => other,
        };
        if let Err((why, unused)) = flushed {
            let in_hand = writer.finish().err().and_then(|error| error.into_unsent());
            let unused = unused + in_hand.map_or(0, |items| items.len() as u64);
            line.leave(why, unused, "").await;
            return Ok(());
        }
    }
}

enum Next {
    Left(Why),
    Gone(Error),
}

fn unpack<T: DeserializeOwned>(bytes: &[u8], wanted: Wanted) -> Result<(Vec<T>, bool), Error> {
    let (batch, mut rest) = codec::read_first::<Batch>(bytes)?;
    if batch.items == 0 || batch.items > wanted.most() {
        return Err(Error::Decode(format!("{} items, of at most {}", batch.items, wanted.most())));
    }
    let mut items = Vec::with_capacity(to_usize(batch.items).min(rest.len()));
    for _ in 0..batch.items {
        let item;
        (item, rest) = codec::read_first(rest)?;
        items.push(item);
    }
    if !rest.is_empty() {
        return Err(Error::Decode(format!("{} bytes are left over", rest.len())));
    }
    Ok((items, batch.is_short))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(limit: usize) -> Batches<String> {
        let (_, reader) = stream();
        Batches { reader, left_over: VecDeque::new(), was_short: false, item_size: None, limit }
    }

    fn packed(source: &mut Batches<String>, wanted: Wanted) -> (Vec<String>, bool, Vec<String>) {
        let (bytes, kept) = source.pack(wanted, vec![]).unwrap();
        let (items, is_short) = unpack(&bytes, wanted).unwrap();
        (items, is_short, kept)
    }

    #[test]
    fn a_batch_above_the_bound_goes_in_several() {
        let mut source = batches(8);
        source.left_over = ["abc", "de", "f", "ghijkl"].map(String::from).into();
        source.was_short = true;
        let (items, is_short, kept) = packed(&mut source, Wanted::Exactly(9));
        assert_eq!((items, is_short), (vec!["abc".into(), "de".into()], false));
        assert_eq!(kept, ["abc", "de"]);
        let (items, is_short, _) = packed(&mut source, Wanted::Exactly(7));
        assert_eq!((items, is_short), (vec!["f".into()], false));
        let (items, is_short, _) = packed(&mut source, Wanted::Exactly(6));
        assert_eq!((items, is_short), (vec!["ghijkl".into()], true));
        assert!(source.left_over.is_empty());
    }

    #[test]
    fn an_item_above_the_bound_is_an_error_and_stays() {
        let mut source = batches(4);
        source.left_over = ["abc", "defgh"].map(String::from).into();
        packed(&mut source, Wanted::All);
        let error = source.pack(Wanted::All, vec![]).unwrap_err();
        assert!(matches!(error, Error::TooLarge { bytes: 6, limit: 4 }), "{error}");
        assert_eq!(source.leave(Why::Dropped, None).unwrap(), ["defgh"]);
    }

    #[test]
    fn no_more_than_was_asked_for_is_sent_or_believed() {
        let mut source = batches(100);
        source.left_over = ["a", "b", "c"].map(String::from).into();
        let (bytes, _) = source.pack(Wanted::UpTo(2), vec![]).unwrap();
        assert_eq!(unpack::<String>(&bytes, Wanted::UpTo(2)).unwrap().0, ["a", "b"]);
        assert!(unpack::<String>(&bytes, Wanted::One).is_err());
        let many = codec::append(&Batch { items: u64::MAX - 1, is_short: false }, vec![]).unwrap();
        assert!(unpack::<String>(&many, Wanted::All).is_err());
    }

    #[test]
    fn a_peer_cannot_ask_for_more_than_is_good() {
        let (mut writer, reader) = stream::<u8>();
        let mut source = Batches {
            reader,
            left_over: VecDeque::new(),
            was_short: false,
            item_size: None,
            limit: 1000,
        };
        let thread = std::thread::spawn(move || writer.write(std::iter::repeat(1)).wait().is_ok());
        for (wanted, most) in [
            (Wanted::Exactly(u64::MAX - 1), FIRST_PIECE),
            (Wanted::UpTo(u64::MAX), to_usize(MOST)),
            (Wanted::All, FIRST_PIECE),
        ] {
            let items = futures_lite::future::block_on(source.read(wanted)).unwrap();
            assert_eq!(items.len(), most, "{wanted:?}");
        }
        drop(source);
        assert!(!thread.join().unwrap());
    }

    #[test]
    fn the_last_items_are_those_that_were_not_used() {
        let mut source = batches(100);
        let kept = || ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(source.unused(kept(), 0), None);
        assert_eq!(source.unused(kept(), 2).unwrap(), ["b", "c"]);
        assert_eq!(source.unused(kept(), u64::MAX).unwrap(), ["a", "b", "c"]);
    }
}
