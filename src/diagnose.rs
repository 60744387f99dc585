//! Which operations wait, for what, and since when. With the feature `diagnose`.
//!
//! [`waiting`] lists every operation that waits now in this process: operations that are awaited, arms of a `select`, iterators and streams, pipes and sinks, with the
//! line of the call and the channel. [`watch`] prints the list when something has waited for long. Two ends that wait for each other stand there below one another.
//!
//! ```
//! use handover::{diagnose, rendezvous};
//! use std::thread;
//!
//! let (tx, rx) = rendezvous();
//! let receiver = thread::Builder::new().name("receiver".into()).spawn(move || rx.recv().wait()).unwrap();
//! let table = loop {
//!     let table = diagnose::waiting();
//!     if !table.is_empty() {
//!         break table;
//!     }
//!     thread::yield_now();
//! };
//! assert_eq!(table[0].what(), "Receiver::recv");
//! assert_eq!(table[0].thread_name(), Some("receiver"));
//! println!("{table}");
//! tx.send(1).wait().unwrap();
//! # receiver.join().unwrap().unwrap();
//! ```
//!
//! An operation is listed from the moment when its thread is about to park, or its task's poll has given `Pending`, until it is done or dropped. A thread that
//! still spins (some µs) is not. An end that is polled by reference (`poll_recv`, the async traits of a pipe, a sink) does not learn that its future was dropped: it is listed
//! until it is used again or dropped.
//!
//! Without the feature nothing is kept and nothing is paid. With it an operation that waits costs about 270 instructions more, four of them atomic (counted for two tasks in one), and one that need not wait next to nothing.
//!
//! # Where it is kept
//!
//! | what          | is                                                                              | locked by                          |
//! |---------------|---------------------------------------------------------------------------------|------------------------------------|
//! | `Listing`     | in each place where an operation waits; it has a node from the first wait on    | its owner only                     |
//! | `Node`        | the operation that waits, or its arms, or nothing; reused, and never freed      | its own lock: the owner, `waiting` |
//! | `NODES`       | all nodes                                                                       | its lock: `waiting`, and an operation that needs one more |
//! | the pools     | nodes that are free: one of each thread, and one for those of threads that have ended | a thread's own; a lock       |
//! | `CHANNELS`    | each channel that lives: its number, and where it was made                      | its lock                           |
//!
//! Under these locks nothing is done but to copy and compare; no lock is taken under another but `NODES`, then a node's.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::slice;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use std::vec;

use parking_lot::Mutex;

use crate::point::{ChannelId, Origin};

/// An operation, or an arm, that waits.
#[derive(Debug)]
struct Entry {
    origin: Origin,
    channel: ChannelId,
    thread: Option<Thread>,
    since: Instant,
}

/// What waits at one place. The vector is kept for the next.
#[derive(Debug, Default)]
struct Node(Mutex<Vec<Entry>>);

static NODES: Mutex<Vec<Arc<Node>>> = Mutex::new(Vec::new());
static SPARE: Mutex<Vec<Arc<Node>>> = Mutex::new(Vec::new());

/// The free nodes of a thread.
struct Pool(Vec<Arc<Node>>);

impl Drop for Pool {
    fn drop(&mut self) {
        SPARE.lock().append(&mut self.0);
    }
}

thread_local!(static POOL: RefCell<Pool> = const { RefCell::new(Pool(Vec::new())) });

/// More free nodes than a thread may want soon.
const MOST_FREE: usize = 64;

impl Node {
    /// A free one.
    fn get() -> Arc<Self> {
        let own = POOL.try_with(|pool| pool.borrow_mut().0.pop()).ok().flatten();
        own.unwrap_or_else(Self::get_spare)
    }

    #[cold]
    fn get_spare() -> Arc<Self> {
        if let Some(node) = SPARE.lock().pop() {
            return node;
        }
        let node = Arc::new(Self::default());
        NODES.lock().push(Arc::clone(&node));
        node
    }

    /// Gives it back, and free.
    fn put_back(self: Arc<Self>) {
        let mut node = Some(self);
        _ = POOL.try_with(|pool| {
            let pool = &mut pool.borrow_mut().0;
            if pool.len() < MOST_FREE {
                pool.extend(node.take());
            }
        });
        if let Some(node) = node {
            SPARE.lock().push(node);
        }
    }
}

/// What one place tells: the operation that waits there, with its arms.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// `None`: nothing waits.
    origin: Option<Origin>,
    node: Option<Arc<Node>>,
}

impl Listing {
    pub(crate) const fn new() -> Self {
        Self { origin: None, node: None }
    }

    /// Whether the operation that was made there is listed already.
    #[inline]
    pub(crate) fn is_of(&self, origin: Origin) -> bool {
        self.origin.is_some_and(|listed| {
            std::ptr::eq(listed.at(), origin.at()) && listed.name() == origin.name()
        })
    }

    /// Another operation begins to wait; `each_arm` calls its argument with each of its arms, or with the operation itself.
    pub(crate) fn begin(
        &mut self,
        origin: Origin,
        is_thread: bool,
        each_arm: impl FnOnce(&mut dyn FnMut(Origin, ChannelId)),
    ) {
        self.leave();
        self.origin = Some(origin);
        let (thread, since) = (is_thread.then(thread::current), Instant::now());
        let node = self.node.get_or_insert_with(Node::get);
        each_arm(&mut |origin, channel| {
            let entry = Entry { origin, channel, thread: thread.clone(), since };
            node.0.lock().push(entry);
        });
    }

    /// Nothing waits any more.
    #[inline]
    pub(crate) fn leave(&mut self) {
        if self.origin.take().is_some() {
            if let Some(node) = &self.node {
                node.0.lock().clear();
            }
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.leave();
        if let Some(node) = self.node.take() {
            node.put_back();
        }
    }
}

/// Where a channel was made, and its number.
#[derive(Clone, Copy)]
struct Made {
    number: u64,
    at: &'static Location<'static>,
    when: Instant,
}

#[derive(Default)]
struct Channels {
    made: u64,
    living: Option<HashMap<ChannelId, Made>>,
}

static CHANNELS: Mutex<Channels> = Mutex::new(Channels { made: 0, living: None });

/// A channel was made.
pub(crate) fn made(channel: ChannelId, at: &'static Location<'static>) {
    let mut channels = CHANNELS.lock();
    channels.made += 1;
    let number = channels.made;
    channels
        .living
        .get_or_insert_default()
        .insert(channel, Made { number, at, when: Instant::now() });
}

/// A channel is no more.
pub(crate) fn gone(channel: ChannelId) {
    if let Some(living) = &mut CHANNELS.lock().living {
        living.remove(&channel);
    }
}

/// An operation that waited when [`waiting`] was called.
#[derive(Clone, Debug)]
pub struct Waiting {
    what: &'static str,
    at: &'static Location<'static>,
    made: Made,
    thread: Option<Thread>,
    since: Instant,
    /// Where the wait is kept, which with `since` tells it from others.
    node: usize,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} at {}", self.number, self.at)
    }
}

impl Waiting {
    /// The operation, by the method that made it: `"Sender::send"`. A sequence goes by the method that made that: `"Receiver::iter"`. An arm of a `select` goes by its own.
    ///
    /// ```
    /// use handover::{diagnose, simplex};
    ///
    /// let (_server, mut client) = simplex::<u8>();
    /// # pollster::block_on(async {
    /// let mut recv = client.recv();
    /// assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
    /// assert!(diagnose::waiting().iter().any(|waiting| waiting.what() == "Client::recv"));
    /// # });
    /// ```
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// The number of the channel: channels are numbered in the order in which they are made.
    ///
    /// ```
    /// use handover::{diagnose, select, simplex};
    ///
    /// let ((_a, mut one), (_b, mut other)) = (simplex::<u8>(), simplex::<u8>());
    /// # pollster::block_on(async {
    /// let mut either = select((one.recv(), other.recv()));
    /// assert!(futures_lite::future::poll_once(&mut either).await.is_none());
    /// let table = diagnose::waiting();
    /// assert_ne!(table[0].channel(), table[1].channel());
    /// # });
    /// ```
    pub const fn channel(&self) -> u64 {
        self.made.number
    }

    /// The line that made the channel.
    ///
    /// ```
    /// use handover::{diagnose, simplex};
    ///
    /// let line = line!() + 1;
    /// let (_server, mut client) = simplex::<u8>();
    /// # pollster::block_on(async {
    /// let mut recv = client.recv();
    /// assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
    /// assert_eq!(diagnose::waiting()[0].made_at().line(), line);
    /// # });
    /// ```
    pub const fn made_at(&self) -> &'static Location<'static> {
        self.made.at
    }

    /// The line of the call.
    ///
    /// ```
    /// use handover::{diagnose, simplex};
    ///
    /// let (_server, mut client) = simplex::<u8>();
    /// # pollster::block_on(async {
    /// let (mut recv, line) = (client.recv(), line!());
    /// assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
    /// assert_eq!(diagnose::waiting()[0].at().line(), line);
    /// # });
    /// ```
    pub const fn at(&self) -> &'static Location<'static> {
        self.at
    }

    /// The name of the thread that blocks. `None` for a task, and for a thread without a name.
    ///
    /// ```
    /// use handover::{diagnose, simplex};
    ///
    /// let (_server, mut client) = simplex::<u8>();
    /// # pollster::block_on(async {
    /// let mut recv = client.recv();
    /// assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
    /// assert_eq!(diagnose::waiting()[0].thread_name(), None); // a task
    /// # });
    /// ```
    pub fn thread_name(&self) -> Option<&str> {
        self.thread.as_ref()?.name()
    }

    /// When it began to wait.
    ///
    /// ```
    /// use handover::{diagnose, simplex};
    /// use std::time::Instant;
    ///
    /// let (_server, mut client) = simplex::<u8>();
    /// # pollster::block_on(async {
    /// let mut recv = client.recv();
    /// assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
    /// assert!(diagnose::waiting()[0].since() <= Instant::now());
    /// # });
    /// ```
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The party, in words.
    fn party(&self) -> String {
        match (&self.thread, self.thread_name()) {
            (None, _) => "a task".to_owned(),
            (_, Some(name)) => format!("thread {name}"),
            (Some(thread), None) => format!("{:?}", thread.id()),
        }
    }

    fn columns(&self, now: Instant) -> [String; 5] {
        let waited = now.saturating_duration_since(self.since).as_secs_f64();
        let channel = format!("channel {} of {}", self.made.number, self.made.at);
        [format!("{waited:.1} s"), self.party(), self.what.to_owned(), self.at.to_string(), channel]
    }
}

/// The operations that waited when [`waiting`] was called; those that began first come first.
///
/// Its `Display` has one line for each: how long it has waited, its party, the operation, the line of the call, the channel and the line that made it.
///
/// ```
/// use handover::{diagnose, simplex};
///
/// let (_server, mut client) = simplex::<u8>();
/// # pollster::block_on(async {
/// let mut recv = client.recv();
/// assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
/// let text = diagnose::waiting().to_string();
/// assert!(text.contains("a task") && text.contains("Client::recv"), "{text}");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Waiting>,
    /// When the list was made.
    now: Instant,
}

impl Deref for Table {
    type Target = [Waiting];

    fn deref(&self) -> &[Waiting] {
        &self.rows
    }
}

impl IntoIterator for Table {
    type Item = Waiting;
    type IntoIter = vec::IntoIter<Waiting>;

    fn into_iter(self) -> vec::IntoIter<Waiting> {
        self.rows.into_iter()
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = &'a Waiting;
    type IntoIter = slice::Iter<'a, Waiting>;

    fn into_iter(self) -> slice::Iter<'a, Waiting> {
        self.rows.iter()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return f.write_str("nothing waits");
        }
        let rows: Vec<_> = self.rows.iter().map(|row| row.columns(self.now)).collect();
        let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        let [waited, party, what, at, _] = [0, 1, 2, 3, 4].map(width);
        for (n, row) in rows.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(
                f,
                "{end}{:>waited$}  {:party$}  {:what$}  {:at$}  {}",
                row[0], row[1], row[2], row[3], row[4]
            )?;
        }
        Ok(())
    }
}

/// Every operation that waits now in this process.
///
/// See the head of the [module](self) for an example.
pub fn waiting() -> Table {
    let mut found = Vec::new();
    for node in NODES.lock().iter() {
        for entry in &*node.0.lock() {
            let (origin, thread) = (entry.origin, entry.thread.clone());
            found.push((entry.channel, origin, thread, entry.since, Arc::as_ptr(node).addr()));
        }
    }
    let mut rows = Vec::new();
    {
        let channels = CHANNELS.lock();
        for (channel, origin, thread, since, node) in found {
            // What began before its channel was made is of an earlier one at that address: an operation that was forgotten. It waits no more.
            let made = channels.living.as_ref().and_then(|living| living.get(&channel));
            let Some(&made) = made.filter(|made| made.when <= since) else { continue };
            rows.push(Waiting { what: origin.name(), at: origin.at(), made, thread, since, node });
        }
    }
    rows.sort_by_key(|row| row.since);
    Table { rows, now: Instant::now() }
}

/// Starts a thread that prints the table of all that waits to standard error as soon as something has waited for longer than `after`; each such wait sets it off once. For
/// a test run that may hang, or for a service. Dropping what it returns ends it.
///
/// # Panics
///
/// Where the system has no thread left.
///
/// ```
/// use std::time::Duration;
///
/// let _watch = handover::diagnose::watch(Duration::from_secs(10));
/// // the rest of `main`, or of a test
/// ```
pub fn watch(after: Duration) -> Watch {
    let (stop, stopped) = mpsc::channel::<()>();
    let pause = (after / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
    let thread = thread::Builder::new().name("handover watch".to_owned()).spawn(move || {
        let mut told = HashSet::new();
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            if let Some(table) = overdue(after, &mut told) {
                tell(after, &table);
            }
        }
    });
    Watch { stop: Some(stop), thread: Some(thread.expect("a thread")) }
}

/// The table, if something in it has waited for too long that was not told before.
fn overdue(after: Duration, told: &mut HashSet<(usize, Instant)>) -> Option<Table> {
    let table = waiting();
    let key = |row: &Waiting| (row.node, row.since);
    let late = |row: &&Waiting| table.now.saturating_duration_since(row.since) >= after;
    let late: HashSet<_> = table.iter().filter(late).map(key).collect();
    let is_news = late.iter().any(|key| !told.contains(key));
    *told = late;
    is_news.then_some(table)
}

fn tell(after: Duration, table: &Table) {
    use std::io::Write as _;
    // Not `eprintln`: that is captured in a test, and panics if standard error is closed.
    let text = format!("handover: something has waited for {after:?}. All that waits:\n{table}\n");
    _ = std::io::stderr().write_all(text.as_bytes());
}

/// Ends its thread when it is dropped: see [`watch`].
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
