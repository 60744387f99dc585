//! `share` and `work`: jobs from one process, to whoever is free in any other.
//!
//! Each worker is an asker of its own, with an answerer of its own at the sharing side. It asks for a job when it is free, and
//! says when that is done, or given back.
//!
//! | what happens | the job |
//! |---|---|
//! | a worker asks | the next job that came back, or else the next one of the receiver, is its |
//! | it says done | is done; the sharing side drops it |
//! | it gives it back, asks for another one, or leaves | goes to the next worker that is free |
//! | its token is away for `grace` | goes to the next worker that is free; the old one is `Forgotten` if it comes back |
//! | the local senders have ended | the workers are told the end once no job is out any more |
//! | the session closes | is among the unfinished |

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use futures_lite::future::or;
use handover::{Receiver, Why};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zenoh::Session;
use zenoh::bytes::ZBytes;
use zenoh::query::Query;

use crate::answering::{Desk, Event, payload};
use crate::asking::{Heard as Answer, Line};
use crate::codec;
use crate::driver::Driver;
use crate::error::Error;
use crate::options::Options;
use crate::protocol::{Answerer, Heard};
use crate::wire;

/// What a worker asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ask {
    Next,
    Done,
    GiveBack,
}

/// What the sharing end of jobs was told when it was over.
///
/// ```
/// use handover_remote::Shared;
///
/// fn report(shared: Shared<String>) {
///     println!("{} done, {} given again", shared.done, shared.given_again);
///     for job in shared.unfinished {
///         println!("not known to be done: {job}");
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it may hold jobs that were not done, or an error"]
pub struct Shared<T> {
    /// How the local senders ended; [`Why::Dropped`] where an error came first.
    pub why: Why,
    /// So many jobs were done.
    pub done: u64,
    /// So often was a job given to another worker, because it came back or its worker died.
    pub given_again: u64,
    /// The jobs that were taken from the receiver and are not known to be done. Empty without an error.
    pub unfinished: Vec<T>,
    /// What stopped it, if something did.
    pub error: Option<Error>,
}

/// Shares the jobs of a receiver under a key: any number of other processes [`work`] on them, each on one at a time.
///
/// A job is taken from the receiver when a worker is free, so a sender waits until then, as with a receiver here. It is handed to one worker. If
/// that worker dies, is away for longer than [`grace`](Options::grace), or gives the job back, the next free one gets it. So each job is
/// done at least once; done twice, if a worker dies after its work and before it said so.
///
/// When the senders have ended and every job is done, the workers are told the end. The driver must be polled; it goes on until each worker that is
/// there knows.
///
/// Jobs live in this process, and go with it. For jobs that outlive it take a store, such as Redis streams or NATS JetStream.
///
/// # Errors
///
/// As [`export`](crate::export).
///
/// # Cancel safety
///
/// If it is dropped, nothing is shared, and the receiver is dropped.
///
/// ```
/// use handover::{Why, rendezvous};
/// use handover_remote::{Options, open_local, share, work, zenoh};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
/// let (jobs, receiver) = rendezvous::<u64>();
/// let sharing = tokio::spawn(share(&session, "squares", receiver, Options::default()).await.unwrap());
/// tokio::spawn(async move {
///     jobs.send_all(1..=10).await.unwrap();
///     jobs.finish();
/// });
///
/// // Another process (here it is the same one).
/// let mut jobs = work::<u64>(&session, "squares", Options::default()).await.unwrap();
/// let mut sum = 0;
/// while let Some(job) = jobs.next().await.unwrap() {
///     sum += *job * *job;
///     job.done().await.unwrap();
/// }
/// assert_eq!(sum, 385);
///
/// let shared = sharing.await.unwrap();
/// assert_eq!((shared.why, shared.done, shared.given_again), (Why::Closed, 10, 0));
/// # });
/// ```
pub async fn share<T>(
    session: &Session,
    key: &str,
    receiver: Receiver<T>,
    options: Options,
) -> Result<Driver<Shared<T>>, Error>
where
    T: Serialize + Send + 'static,
{
    let desk = Desk::open(session, key, options).await?;
    let home = Home {
        desk,
        workers: HashMap::new(),
        idle: VecDeque::new(),
        returned: VecDeque::new(),
        end: None,
        done: 0,
        given_again: 0,
    };
    Ok(Driver::new(home.run(receiver)))
}

/// The sharing side.
struct Home<T> {
    desk: Desk,
    workers: HashMap<u64, Worker<T>>,
    /// The workers that wait for a job, first come, first served.
    idle: VecDeque<u64>,
    /// Jobs that came back.
    returned: VecDeque<Lease<T>>,
    end: Option<Why>,
    done: u64,
    given_again: u64,
}

struct Worker<T> {
    answerer: Answerer<ZBytes, ()>,
    /// The question that waits for an answer.
    held: Option<Query>,
    deadline: Option<Instant>,
    lease: Option<Lease<T>>,
}

/// A job that was taken from the receiver.
struct Lease<T> {
    item: T,
    attempts: u32,
}

enum Happened<T> {
    Network(Event),
    Job(T),
    End(Why),
}

impl<T: Serialize + Send> Home<T> {
    async fn run(mut self, receiver: Receiver<T>) -> Shared<T> {
        let error = loop {
            if let Err(error) = self.give_returned() {
                break Some(error);
            }
            if self.end.is_some() && self.is_settled() {
                self.tell_end("");
                if self.workers.is_empty() && !self.desk.has_askers() {
                    break None;
                }
            }
            let happened = {
                let deadline = self.workers.values().filter_map(|worker| worker.deadline).min();
                let has_ended = self.end.is_some();
                let is_free = !self.idle.is_empty() && self.returned.is_empty();
                let network = async { Happened::Network(self.desk.event(deadline).await) };
                let local = async {
                    match (has_ended, is_free) {
                        (true, _) => std::future::pending().await,
                        (false, true) => match receiver.recv().await {
                            Ok(job) => Happened::Job(job),
                            Err(error) => Happened::End(error.why()),
                        },
                        (false, false) => {
                            Happened::End(receiver.closed().await.unwrap_or(Why::Dropped))
                        }
                    }
                };
                or(network, local).await
            };
            match happened {
                Happened::Network(Event::Question(query)) => self.hear(query),
                Happened::Network(Event::SessionClosed) => break Some(Error::session_closed()),
                Happened::Network(Event::Change) if self.desk.is_session_closed() => {
                    break Some(Error::session_closed());
                }
                Happened::Network(Event::Change) => self.look_who_is_there(),
                Happened::Network(Event::Deadline) => self.bury(),
                Happened::Job(item) => self.returned.push_back(Lease { item, attempts: 0 }),
                Happened::End(why) => self.end = Some(why),
            }
        };
        let why = match (&error, self.end) {
            (None, Some(why)) => why,
            _ => Why::Dropped,
        };
        if let Some(error) = &error {
            self.end = Some(Why::Dropped);
            self.tell_end(&error.to_string());
        }
        let out = self.workers.into_values().filter_map(|worker| worker.lease);
        let unfinished = self.returned.into_iter().chain(out).map(|lease| lease.item).collect();
        let (done, given_again) = (self.done, self.given_again);
        Shared { why, done, given_again, unfinished, error }
    }

    /// No job is out, and none waits.
    fn is_settled(&self) -> bool {
        self.returned.is_empty() && self.workers.values().all(|worker| worker.lease.is_none())
    }

    /// Gives jobs to the workers that wait.
    fn give_returned(&mut self) -> Result<(), Error> {
        while let (Some(&id), Some(lease)) = (self.idle.front(), self.returned.front_mut()) {
            let Some(worker) = self.workers.get_mut(&id) else {
                self.idle.pop_front();
                continue;
            };
            let head = worker.answerer.item_head();
            let head_size = head.len();
            let bytes = codec::append(&(lease.attempts + 1, &lease.item), head)?;
            codec::check_size(bytes.len() - head_size, self.desk.options.max_batch_bytes)?;
            lease.attempts += 1;
            self.given_again += u64::from(lease.attempts > 1);
            worker.lease = self.returned.pop_front();
            self.idle.pop_front();
            worker.answer(&self.desk, bytes);
        }
        Ok(())
    }

    fn hear(&mut self, query: Query) {
        let bytes = payload(&query);
        let Ok(question) = wire::read_question(&bytes) else {
            // Another version, or no question: any answerer knows what to say.
            if let Heard::Refuse(reply) = Answerer::<ZBytes, ()>::new(self.desk.epoch).hear(&bytes)
            {
                self.desk.reply(&query, reply);
            }
            return;
        };
        let id = question.asker;
        let epoch = self.desk.epoch;
        let worker = self.workers.entry(id).or_insert_with(|| Worker {
            answerer: Answerer::new(epoch),
            held: None,
            deadline: None,
            lease: None,
        });
        match worker.answerer.hear(&bytes) {
            Heard::Begin { demand, .. } => {
                worker.held = Some(query);
                let lease = worker.lease.take();
                match codec::read::<Ask>(demand) {
                    Ok(Ask::Next) => {
                        self.returned.extend(lease);
                        self.idle.push_back(id);
                    }
                    Ok(Ask::GiveBack) => {
                        self.returned.extend(lease);
                        worker.confirm(&self.desk);
                    }
                    Ok(Ask::Done) => {
                        self.done += u64::from(lease.is_some());
                        worker.confirm(&self.desk);
                    }
                    Err(error) => {
                        self.returned.extend(lease);
                        worker.end(&self.desk, Why::Dropped, &error.to_string());
                    }
                }
            }
            Heard::Waiting => worker.held = Some(query),
            Heard::Again(reply) => self.desk.reply(&query, reply),
            Heard::Greet(reply) => self.desk.reply(&query, reply),
            Heard::Refuse(reply) => {
                self.desk.reply(&query, reply);
                if worker.answerer.number() == 0 {
                    self.workers.remove(&id);
                    return;
                }
            }
            Heard::Left { reply, .. } => {
                self.desk.reply(&query, reply);
                self.dismiss(id);
                return;
            }
            Heard::Ignore => {}
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.deadline = self.desk.deadline(id, worker.deadline);
        }
    }

    fn look_who_is_there(&mut self) {
        for (&id, worker) in &mut self.workers {
            worker.deadline = self.desk.deadline(id, worker.deadline);
        }
    }

    /// Forgets the workers whose time to come back is over.
    fn bury(&mut self) {
        let now = Instant::now();
        let is_dead = |worker: &Worker<T>| worker.deadline.is_some_and(|at| at <= now);
        let dead: Vec<u64> = (self.workers.iter())
            .filter(|(_, worker)| is_dead(worker))
            .map(|(&id, _)| id)
            .collect();
        for id in dead {
            self.dismiss(id);
        }
    }

    fn dismiss(&mut self, id: u64) {
        self.idle.retain(|&other| other != id);
        if let Some(worker) = self.workers.remove(&id) {
            self.returned.extend(worker.lease);
        }
    }

    /// Tells the end to the workers that wait.
    fn tell_end(&mut self, fault: &str) {
        let why = self.end.unwrap_or(Why::Dropped);
        for id in self.idle.drain(..) {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.end(&self.desk, why, fault);
            }
        }
    }
}

impl<T> Worker<T> {
    fn answer(&mut self, desk: &Desk, bytes: Vec<u8>) {
        let reply = ZBytes::from(bytes);
        self.answerer.answer(reply.clone(), ());
        if let Some(query) = self.held.take() {
            desk.reply(&query, reply);
        }
    }

    fn confirm(&mut self, desk: &Desk) {
        let bytes = self.answerer.item_head();
        self.answer(desk, bytes);
    }

    fn end(&mut self, desk: &Desk, why: Why, fault: &str) {
        let reply = self.answerer.end(why, fault);
        if let Some(query) = self.held.take() {
            desk.reply(&query, reply);
        }
    }
}

/// Works on the jobs that another process shares under this key.
///
/// # Errors
///
/// [`Error::Key`], [`Error::Session`].
///
/// # Cancel safety
///
/// If it is dropped, nothing has begun.
///
/// ```
/// use handover_remote::{Options, open_local, work, zenoh};
/// # use handover::rendezvous;
/// # use handover_remote::share;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
/// # let (jobs, receiver) = rendezvous::<String>();
/// # let sharing = tokio::spawn(share(&session, "names", receiver, Options::default()).await.unwrap());
/// # tokio::spawn(async move { jobs.send("a name".into()).await.map(|()| jobs.finish()) });
/// let mut jobs = work::<String>(&session, "names", Options::default()).await.unwrap();
/// let job = jobs.next().await.unwrap().unwrap();
/// assert_eq!((job.as_str(), job.attempts()), ("a name", 1));
/// drop(job); // given back: the next worker that is free gets it, here the same one
///
/// let job = jobs.next().await.unwrap().unwrap();
/// assert_eq!((job.as_str(), job.attempts()), ("a name", 2));
/// job.done().await.unwrap(); // nobody gets it again
/// assert!(jobs.next().await.unwrap().is_none());
/// # assert_eq!(sharing.await.unwrap().given_again, 1);
/// # });
/// ```
pub async fn work<T>(session: &Session, key: &str, options: Options) -> Result<Jobs<T>, Error>
where
    T: DeserializeOwned,
{
    let line = Line::open(session, key, options).await?;
    Ok(Jobs { line: Some(line), open: None, is_finished: false, item: PhantomData })
}

/// Where jobs are got, one at a time. See [`work`], with an example.
///
/// Dropping it says so to the sharing side, which gives a job that is out to somebody else.
pub struct Jobs<T> {
    /// `None` after the end.
    line: Option<Line>,
    /// The question whose answer has not come yet: a call that was dropped has left it.
    open: Option<Ask>,
    is_finished: bool,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Jobs<T> {
    /// Asks for a job, and waits until there is one. `None` when the sharing side is finished and every job is done.
    ///
    /// It waits also while nobody shares under the key. The job is this worker's until [`Job::done`], or its drop, which gives it back.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] or [`Error::Restarted`], if the sharing side was away for longer than [`grace`](Options::grace); [`Error::Forgotten`], if this worker was;
    /// [`Error::Ended`], if the senders there ended otherwise than by saying so; [`Error::Decode`] (the job is given back), [`Error::Peer`], [`Error::Version`],
    /// [`Error::Session`]. After an error, every call gives [`Error::Gone`]: `work` again.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: a job that comes is for the next call.
    ///
    /// ```
    /// # use handover_remote::{Error, Jobs};
    /// async fn run(mut jobs: Jobs<String>) -> Result<(), Error> {
    ///     while let Some(job) = jobs.next().await? {
    ///         println!("{}", job.to_uppercase());
    ///         job.done().await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn next(&mut self) -> Result<Option<Job<'_, T>>, Error> {
        if self.is_finished {
            return Ok(None);
        }
        loop {
            let open = self.open.map_or_else(|| self.ask(Ask::Next), Ok)?;
            match self.answer().await? {
                None => return Ok(None),
                Some((payload, at)) if open == Ask::Next => {
                    match codec::read::<(u32, T)>(&payload.to_bytes()[at..]) {
                        Ok((attempts, item)) => {
                            return Ok(Some(Job { jobs: self, item, attempts, is_done: false }));
                        }
                        Err(error) => {
                            if let Some(line) = self.line.take() {
                                line.leave(Why::Dropped, u64::MAX, &error.to_string()).await;
                            }
                            return Err(error);
                        }
                    }
                }
                Some(_) => {}
            }
        }
    }
}

impl<T> Jobs<T> {
    fn ask(&mut self, ask: Ask) -> Result<Ask, Error> {
        let line = self.line.as_mut().ok_or(Error::Gone)?;
        line.demand(&codec::append(&ask, vec![])?)?;
        self.open = Some(ask);
        Ok(ask)
    }

    /// Waits for the answer to the open question. `None` at the end.
    async fn answer(&mut self) -> Result<Option<(ZBytes, usize)>, Error> {
        let line = self.line.as_mut().ok_or(Error::Gone)?;
        let answer = line.answer().await;
        self.open = None;
        match answer {
            Ok(Answer::Item(payload, at)) => Ok(Some((payload, at))),
            Ok(Answer::End(why, fault)) => {
                if let Some(line) = self.line.take() {
                    self.is_finished = why == Why::Closed;
                    line.acknowledge_end().await;
                }
                match why {
                    Why::Closed => Ok(None),
                    _ if fault.is_empty() => Err(Error::Ended(why)),
                    _ => Err(Error::Peer(fault)),
                }
            }
            Ok(Answer::Left) => Err(Error::Gone),
            Err(error) => {
                self.line = None;
                Err(error)
            }
        }
    }
}

impl<T> Drop for Jobs<T> {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.leave_now(Why::Dropped);
        }
    }
}

impl<T> fmt::Debug for Jobs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("has_ended", &self.line.is_none()).finish_non_exhaustive()
    }
}

/// A job in hand. It is an `&mut T` too. See [`work`] for an example.
///
/// [`done`](Job::done) says that it is done. Dropping it, also in a panic, gives it back: another worker gets it.
#[must_use = "a job that is dropped is given back"]
pub struct Job<'a, T> {
    jobs: &'a mut Jobs<T>,
    item: T,
    attempts: u32,
    is_done: bool,
}

impl<T> Job<'_, T> {
    /// So often was it given to a worker, this time included: above 1, a worker has died with it or given it back.
    ///
    /// ```
    /// fn is_poisonous<T>(job: &handover_remote::Job<'_, T>) -> bool {
    ///     job.attempts() > 5
    /// }
    /// ```
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Says that the job is done, and waits until the sharing side knows: nobody will be given it again.
    ///
    /// # Errors
    ///
    /// As [`Jobs::next`]. The job is done then, but the sharing side may not know, and may give it to another worker; after [`Error::Forgotten`] it has.
    ///
    /// # Cancel safety
    ///
    /// It is said once the future was polled. Dropping it then does not wait until it is known; the next [`Jobs::next`] does.
    ///
    /// See [`work`] for an example.
    pub async fn done(mut self) -> Result<(), Error> {
        self.is_done = true;
        self.jobs.ask(Ask::Done)?;
        match self.jobs.answer().await? {
            Some(_) => Ok(()),
            None => Err(Error::Ended(Why::Closed)),
        }
    }
}

impl<T> Deref for Job<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for Job<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T> Drop for Job<'_, T> {
    fn drop(&mut self) {
        let is_asked = !self.is_done && self.jobs.ask(Ask::GiveBack).is_ok();
        if is_asked && let Some(line) = &mut self.jobs.line {
            line.ask_now(); // if it is lost, the next call asks again
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Job<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Job");
        debug.field("item", &self.item).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
