//! The asking side over zenoh: questions to one life of an answerer, asked again until it answers or is gone.
//!
//! | what happens while a question is open | what is done |
//! |---|---|
//! | an answer of this number comes | it is given to the caller |
//! | the query ends without one (its link died, or `ask` is over) | ask again under the same number, at once or after a pause that grows to 100 ms |
//! | a token goes (a query may never end if its link dies as it is sent) | ask again under the same number |
//! | a hello is not answered, or the answerer's own token is away before this asker is welcome there | try the next one that is here |
//! | the answerer's own token is away | wait until it is back, for `grace`; then it is gone |
//! | there is no answerer yet | wait for one, however long |
//! | the caller drops the future | the question stays open: the next call goes on with it |
//! | the session closes | `Error::Session` |

use std::future::Future;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use futures_timer::Delay;
use handover::Why;
use zenoh::bytes::ZBytes;
use zenoh::handlers::FifoChannelHandler;
use zenoh::liveliness::LivelinessToken;
use zenoh::query::{ConsolidationMode, Querier, QueryTarget, Reply};
use zenoh::{Session, Wait};

use crate::error::Error;
use crate::names::{Names, fresh_id};
use crate::options::Options;
use crate::presence::{Presence, Whereabouts};
use crate::protocol::{Asker, Told};
use crate::wire::Leave;

/// The first pause after a query that ended at once, and without an answer.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Line {
    session: Session,
    names: Names,
    options: Options,
    asker: Asker,
    answerers: Presence,
    querier: Option<Querier<'static>>,
    /// The answerer that was tried last, while this asker is welcome nowhere.
    tried: u64,
    open: Option<Open>,
    away_since: Option<Instant>,
    pause: Duration,
    // The last field: the asker is there for as long as the rest is.
    _token: LivelinessToken,
}

/// A query that may still be answered.
struct Open {
    replies: FifoChannelHandler<Reply>,
    departures: u64,
    asked_at: Instant,
}

/// An answer that was waited for.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The answer, in which the item begins at this place.
    Item(ZBytes, usize),
    End(Why, String),
    Left,
}

enum Event {
    Reply(Option<Reply>),
    Change,
}

impl Line {
    pub(crate) async fn open(
        session: &Session,
        key: &str,
        options: Options,
    ) -> Result<Self, Error> {
        let names = Names::new(key)?;
        let me = fresh_id();
        let token =
            session.liveliness().declare_token(names.asker(me)).await.map_err(Error::Session)?;
        let answerers = Presence::watch(session, names.answerers()).await?;
        Ok(Self {
            session: session.clone(),
            names,
            options,
            asker: Asker::new(me),
            answerers,
            querier: None,
            tried: 0,
            open: None,
            away_since: None,
            pause: FIRST_PAUSE,
            _token: token,
        })
    }

    /// Begins the next demand.
    pub(crate) fn demand(&mut self, demand: &[u8]) -> Result<(), Error> {
        let limit = self.options.max_batch_bytes;
        if demand.len() > limit {
            return Err(Error::TooLarge { bytes: demand.len(), limit });
        }
        self.asker.demand(demand);
        Ok(())
    }

    /// Waits for the answer to the demand that was begun. May be dropped, and called again.
    pub(crate) async fn answer(&mut self) -> Result<Heard, Error> {
        loop {
            self.until_answerer_is_here().await?;
            self.ask()?;
            let Some(open) = &self.open else { continue };
            let reply = async { Event::Reply(open.replies.recv_async().await.ok()) };
            let change = async {
                self.answerers.changed().await;
                Event::Change
            };
            match or(reply, change).await {
                Event::Reply(Some(reply)) => {
                    if let Some(heard) = self.hear(&reply)? {
                        self.open = None;
                        self.pause = FIRST_PAUSE;
                        return Ok(heard);
                    }
                }
                Event::Reply(None) => self.unanswered().await,
                Event::Change => {
                    if self.answerers.departures() != open.departures {
                        self.open = None;
                    }
                }
            }
        }
    }

    /// The query has ended without an answer.
    async fn unanswered(&mut self) {
        // A hello that nobody answers may have gone to a life that has ended, and whose token is seen for a while yet.
        self.asker.unbind();
        let has_waited = self.open.take().is_none_or(|open| open.asked_at.elapsed() > self.pause);
        if !has_waited {
            let pause = self.pause;
            self.pause = (pause * 2).min(LAST_PAUSE);
            sleep(pause).await;
        }
    }

    /// Sends the question, unless it is on its way. It does not wait for an answer, but for room on the link.
    fn ask(&mut self) -> Result<(), Error> {
        if self.open.is_some() {
            return Ok(());
        }
        let (Some(querier), Some(question)) = (&self.querier, self.asker.question()) else {
            return Err(Error::session_closed());
        };
        let departures = self.answerers.departures();
        let question: ZBytes = question.into();
        let replies = querier.get().payload(question).wait().map_err(Error::Session)?;
        self.open = Some(Open { replies, departures, asked_at: Instant::now() });
        Ok(())
    }

    fn hear(&mut self, reply: &Reply) -> Result<Option<Heard>, Error> {
        let Ok(sample) = reply.result() else { return Ok(None) };
        let payload = sample.payload();
        let bytes = payload.to_bytes();
        match self.asker.hear(&bytes) {
            Told::Item(item) => {
                let at = bytes.len() - item.len();
                Ok(Some(Heard::Item(payload.clone(), at)))
            }
            Told::End(why, fault) => Ok(Some(Heard::End(why, fault.to_owned()))),
            Told::Left => Ok(Some(Heard::Left)),
            Told::Taken => Err(Error::Taken),
            Told::Unknown => Err(Error::Forgotten),
            Told::Version(theirs) => Err(Error::Version(theirs)),
            Told::Welcome => {
                self.open = None; // and now the question itself
                Ok(None)
            }
            Told::Ignore => Ok(None),
        }
    }

    async fn until_answerer_is_here(&mut self) -> Result<(), Error> {
        loop {
            if self.answerers.is_closed() {
                return Err(Error::session_closed());
            }
            let Some(epoch) = self.asker.epoch() else {
                match self.answerers.next_after(self.tried) {
                    Some(epoch) => self.bind(epoch).await?,
                    None if self.asker.is_leaving() => return Err(Error::Gone),
                    None => self.answerers.changed().await,
                }
                continue;
            };
            match self.answerers.whereabouts(epoch) {
                Whereabouts::Here => {
                    self.away_since = None;
                    return Ok(());
                }
                Whereabouts::Left | Whereabouts::Unknown => {
                    self.open = None;
                    if self.asker.unbind() {
                        self.querier = None;
                        continue;
                    }
                    let since = *self.away_since.get_or_insert_with(Instant::now);
                    let left = self.options.grace.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        let has_another = self.answerers.is_anybody();
                        return Err(if has_another { Error::Restarted } else { Error::Gone });
                    }
                    or(self.answerers.changed(), sleep(left)).await;
                }
            }
        }
    }

    async fn bind(&mut self, epoch: u64) -> Result<(), Error> {
        let querier = self
            .session
            .declare_querier(self.names.answerer(epoch))
            .target(QueryTarget::BestMatching)
            .consolidation(ConsolidationMode::None)
            .timeout(self.options.ask)
            .await
            .map_err(Error::Session)?;
        self.querier = Some(querier);
        self.tried = epoch;
        self.asker.bind(epoch);
        Ok(())
    }

    /// Waits until the answerer that was asked is gone for good, or the session is closed.
    pub(crate) async fn gone(&mut self) -> Error {
        loop {
            let is_bound = self.asker.epoch().is_some() || self.answerers.is_closed();
            if is_bound && let Err(error) = self.until_answerer_is_here().await {
                return error;
            }
            self.answerers.changed().await;
        }
    }

    /// Leaves, and waits until that was heard, or nobody is there to hear it. An answerer that this asker has not met need not be told.
    pub(crate) async fn leave(mut self, why: Why, unused: u64, fault: &str) {
        self.open = None;
        self.asker.leave(Leave { why, unused, fault });
        _ = self.answer().await;
    }

    /// The end was told: says that it was heard.
    pub(crate) async fn acknowledge_end(mut self) {
        _ = self.answer().await;
    }

    /// Sends the demand that was begun, once, and does not wait: for destructors. [`answer`](Self::answer) goes on with it.
    pub(crate) fn ask_now(&mut self) {
        _ = self.ask();
    }

    /// Leaves, and says so once: for destructors. If that is lost, the token tells.
    pub(crate) fn leave_now(mut self, why: Why) {
        if self.asker.epoch().is_some() {
            self.open = None;
            self.asker.leave(Leave { why, unused: u64::MAX, fault: "" });
            _ = self.ask();
        }
    }
}

pub(crate) fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
    Delay::new(duration)
}
