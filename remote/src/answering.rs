//! The answering side over zenoh: one life of an exporting end.
//!
//! | what happens | what is done |
//! |---|---|
//! | a new demand comes | the local end makes the answer, which is kept and sent |
//! | a demand comes again | see [`protocol`](crate::protocol) |
//! | the asker's token goes | a clock of `grace` starts; questions do not stop it, since a late one may still lie here |
//! | the asker's token is back | the clock is stopped |
//! | the clock has run out, or the session closes | what is in doubt goes to the caller, the local end is told `Dropped` |
//! | the driver is dropped | the token goes, and the local end with it |
//!
//! An answer that is lost on its way is asked for again, so sending it never fails here.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use futures_lite::future::or;
use handover::Why;
use zenoh::bytes::ZBytes;
use zenoh::handlers::{RingChannel, RingChannelHandler};
use zenoh::key_expr::KeyExpr;
use zenoh::liveliness::LivelinessToken;
use zenoh::query::Query;
use zenoh::query::Queryable;
use zenoh::{Session, Wait};

use crate::asking::sleep;
use crate::error::Error;
use crate::names::{Names, fresh_id};
use crate::options::Options;
use crate::presence::{Presence, Whereabouts};
use crate::protocol::{Answerer, Heard};

/// So many questions may wait for a driver that is not polled. An older one is dropped then, and asked again.
const QUESTIONS: usize = 256;

/// What an exporting end was told when it was over.
///
/// ```
/// use handover::Why;
/// use handover_remote::Ended;
///
/// fn report(ended: Ended<String>) {
///     if let Some(item) = ended.in_doubt {
///         println!("nobody knows whether {item} was used");
///     }
///     if ended.why != Why::Closed {
///         println!("it was cut short: {:?}", ended.error);
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it may hold an item that was not used, or an error"]
pub struct Ended<T> {
    /// How the channel ended: as the importing side left it, or else as the local end did. [`Why::Dropped`] where it broke.
    pub why: Why,
    /// The answer (one item, or one batch) of which nobody can know whether it was used: it was sent, and the importing side died before
    /// it said so.
    pub in_doubt: Option<T>,
    /// What was made for the importing side and certainly not used there: the consumer left without it, or it could not be sent.
    pub unsent: Option<T>,
    /// What broke the channel, if something did.
    pub error: Option<Error>,
    /// So many answers were made.
    pub answers: u64,
    /// So often was an answer asked for again: its question or the answer was lost, or took longer than [`ask`](Options::ask).
    pub asked_again: u64,
}

/// The local end that makes the answers.
pub(crate) trait Source: Send {
    type Kept: Send;

    /// Makes the answer to a demand. Dropped when the answer is no longer wanted.
    fn make(
        &mut self,
        demand: &[u8],
        head: Vec<u8>,
    ) -> impl Future<Output = Made<Self::Kept>> + Send;

    /// The part of an answer that was not used: its last `unused` items.
    fn unused(&mut self, kept: Self::Kept, unused: u64) -> Option<Self::Kept>;

    /// Leaves the local channel. Gives what was not sent, if there is more of it than is known.
    fn leave(self, why: Why, unsent: Option<Self::Kept>) -> Option<Self::Kept>;
}

pub(crate) enum Made<K> {
    Answer { bytes: Vec<u8>, kept: K },
    End(Why),
    Failed { error: Error, unsent: Option<K> },
}

/// Where questions arrive.
pub(crate) struct Desk {
    pub(crate) epoch: u64,
    pub(crate) options: Options,
    key: KeyExpr<'static>,
    questions: Queryable<RingChannelHandler<Query>>,
    askers: Presence,
    // The last field: the answerer is there for as long as the rest is.
    _token: LivelinessToken,
}

pub(crate) enum Event {
    Question(Query),
    /// Somebody has come or gone.
    Change,
    Deadline,
    SessionClosed,
}

impl Desk {
    pub(crate) async fn open(
        session: &Session,
        key: &str,
        options: Options,
    ) -> Result<Self, Error> {
        let names = Names::new(key)?;
        let epoch = fresh_id();
        if is_taken(session, &names, epoch, options.ask).await? {
            return Err(Error::Taken);
        }
        let key = KeyExpr::new(names.answerer(epoch)).map_err(Error::Session)?;
        let questions = session
            .declare_queryable(key.clone())
            .complete(true)
            .with(RingChannel::new(QUESTIONS))
            .await
            .map_err(Error::Session)?;
        let askers = Presence::watch(session, names.askers()).await?;
        let token =
            session.liveliness().declare_token(key.clone()).await.map_err(Error::Session)?;
        // Two that looked before either was there see each other now.
        if is_taken(session, &names, epoch, options.ask).await? {
            return Err(Error::Taken);
        }
        Ok(Self { epoch, options, key, questions, askers, _token: token })
    }

    pub(crate) async fn event(&mut self, deadline: Option<Instant>) -> Event {
        let question = async {
            match self.questions.recv_async().await {
                Ok(query) => Event::Question(query),
                Err(_) => Event::SessionClosed,
            }
        };
        let change = async {
            self.askers.changed().await;
            Event::Change
        };
        let deadline = async {
            match deadline {
                Some(at) => sleep(at.saturating_duration_since(Instant::now())).await,
                None => pending().await,
            }
            Event::Deadline
        };
        or(question, or(change, deadline)).await
    }

    pub(crate) fn is_session_closed(&self) -> bool {
        self.askers.is_closed()
    }

    /// Somebody is there who may ask.
    pub(crate) fn has_askers(&self) -> bool {
        self.askers.is_anybody()
    }

    /// When this asker counts as dead, given when that was last said.
    pub(crate) fn deadline(&self, asker: u64, before: Option<Instant>) -> Option<Instant> {
        match self.askers.whereabouts(asker) {
            Whereabouts::Left => before.or_else(|| Instant::now().checked_add(self.options.grace)),
            Whereabouts::Here => None,
            Whereabouts::Unknown => before,
        }
    }

    /// Sends an answer. It may be lost: it is asked for again then.
    pub(crate) fn reply(&self, query: &Query, bytes: impl Into<ZBytes>) {
        _ = query.reply(&self.key, bytes).wait();
    }

    /// Attends to the asker until there is something to do. `held` is the question whose answer is being made.
    async fn attend<K>(
        &mut self,
        answerer: &mut Answerer<ZBytes, K>,
        held: &mut Option<Query>,
        deadline: &mut Option<Instant>,
    ) -> Attended<K> {
        loop {
            match self.event(*deadline).await {
                Event::Question(query) => {
                    let bytes = payload(&query);
                    match answerer.hear(&bytes) {
                        Heard::Begin { demand, .. } => {
                            let demand = demand.to_vec();
                            *held = Some(query);
                            return Attended::Demand(demand);
                        }
                        Heard::Waiting => *held = Some(query),
                        Heard::Again(reply) => self.reply(&query, reply),
                        Heard::Greet(reply) | Heard::Refuse(reply) => self.reply(&query, reply),
                        Heard::Left { reply, leave, last, was_told_end } => {
                            self.reply(&query, reply);
                            return Attended::Left {
                                why: leave.why,
                                unused: leave.unused,
                                fault: leave.fault.to_owned(),
                                last,
                                was_told_end,
                            };
                        }
                        Heard::Ignore => {}
                    }
                    if let Some(asker) = answerer.asker() {
                        *deadline = self.deadline(asker, *deadline);
                    }
                }
                Event::Change if self.is_session_closed() => return Attended::SessionClosed,
                Event::Change => {
                    if let Some(asker) = answerer.asker() {
                        *deadline = self.deadline(asker, *deadline);
                    }
                }
                Event::Deadline => return Attended::Dead,
                Event::SessionClosed => return Attended::SessionClosed,
            }
        }
    }
}

/// What the asker wants, or how it left.
enum Attended<K> {
    Demand(Vec<u8>),
    Left { why: Why, unused: u64, fault: String, last: Option<K>, was_told_end: bool },
    Dead,
    SessionClosed,
}

pub(crate) fn payload(query: &Query) -> Vec<u8> {
    query.payload().map(|payload| payload.to_bytes().into_owned()).unwrap_or_default()
}

/// Whether another life of an answerer is seen. A peer that hangs is not waited for.
async fn is_taken(
    session: &Session,
    names: &Names,
    epoch: u64,
    patience: Duration,
) -> Result<bool, Error> {
    let others = session.liveliness().get(format!("{}/*", names.answerers())).timeout(patience);
    let others = others.await.map_err(Error::Session)?;
    let own = names.answerer(epoch);
    while let Ok(reply) = others.recv_async().await {
        if reply.result().is_ok_and(|sample| sample.key_expr().as_str() != own) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Answers demands until one side ends.
pub(crate) async fn serve<S: Source>(mut desk: Desk, mut source: S) -> Ended<S::Kept> {
    let mut answerer = new_answerer(desk.epoch);
    let (mut held, mut deadline, mut answers) = (None, None, 0);
    let mut own_end = None;
    let (mut error, mut unsent) = (None, None);
    let stop = loop {
        let demand = match desk.attend(&mut answerer, &mut held, &mut deadline).await {
            Attended::Demand(demand) => demand,
            stop => break stop,
        };
        let head = answerer.item_head();
        let made = or(async { Ok(source.make(&demand, head).await) }, async {
            Err(desk.attend(&mut answerer, &mut held, &mut deadline).await)
        });
        let reply = match made.await {
            Ok(Made::Answer { bytes, kept }) => {
                answers += 1;
                let reply = ZBytes::from(bytes);
                answerer.answer(reply.clone(), kept);
                reply
            }
            Ok(Made::End(why)) => {
                own_end = Some(why);
                answerer.end(why, "")
            }
            Ok(Made::Failed { error: failure, unsent: item }) => {
                own_end = Some(Why::Dropped);
                let reply = answerer.end(Why::Dropped, &failure.to_string());
                (error, unsent) = (Some(failure), item);
                reply
            }
            Err(stop) => break stop,
        };
        if let Some(query) = held.take() {
            desk.reply(&query, reply);
        }
    };
    let asked_again = answerer.asked_again();
    let mut in_doubt = None;
    let why = match stop {
        Attended::Left { was_told_end: true, .. } => own_end.unwrap_or(Why::Dropped),
        Attended::Left { why, unused, fault, last, .. } => {
            unsent = unsent.or(last.and_then(|kept| source.unused(kept, unused)));
            if !fault.is_empty() {
                error = error.or(Some(Error::Peer(fault)));
            }
            why
        }
        Attended::Dead | Attended::Demand(_) => {
            in_doubt = answerer.give_up();
            error = error.or(Some(Error::Gone));
            own_end.unwrap_or(Why::Dropped)
        }
        Attended::SessionClosed => {
            in_doubt = answerer.give_up();
            error = error.or_else(|| Some(Error::session_closed()));
            own_end.unwrap_or(Why::Dropped)
        }
    };
    let unsent = source.leave(why, unsent);
    Ended { why, in_doubt, unsent, error, answers, asked_again }
}

fn new_answerer<K>(epoch: u64) -> Answerer<ZBytes, K> {
    #[cfg(feature = "planted-fault")]
    if crate::planted_fault::is_on() {
        return Answerer::forgetful(epoch);
    }
    Answerer::new(epoch)
}
