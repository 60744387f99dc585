//! The runs that are under way, and the thread that sees to it that each of them comes on.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::run::{Place, Run};
use crate::point::ChannelId;

/// A run, and when it last came on.
struct Watched {
    run: Weak<Run>,
    progress: Option<u64>,
    since: Instant,
}

struct Watchdog {
    runs: Vec<Watched>,
    is_awake: bool,
}

static WATCHDOG: Mutex<Watchdog> = Mutex::new(Watchdog { runs: Vec::new(), is_awake: false });

/// A run that is watched for as long as this lives.
pub(super) struct Watching(Arc<Run>);

pub(super) fn watch(run: &Arc<Run>) -> Watching {
    let (watched, since) = (Arc::downgrade(run), Instant::now());
    let mut watchdog = WATCHDOG.lock();
    watchdog.runs.push(Watched { run: watched, progress: None, since });
    if !std::mem::replace(&mut watchdog.is_awake, true) {
        let started = thread::Builder::new().name("handover::model".to_string()).spawn(stay_awake);
        watchdog.is_awake = started.is_ok();
    }
    Watching(Arc::clone(run))
}

impl Drop for Watching {
    fn drop(&mut self) {
        let run = Arc::downgrade(&self.0);
        WATCHDOG.lock().runs.retain(|watched| !watched.run.ptr_eq(&run));
    }
}

fn all() -> Vec<Arc<Run>> {
    WATCHDOG.lock().runs.iter().filter_map(|watched| watched.run.upgrade()).collect()
}

/// A thread that is no party uses a channel: is that one of a model? Then the model fails, and this gives `true`.
pub(super) fn is_stranger(what: &str, at: Option<Place>, channel: ChannelId) -> bool {
    let mut is_stranger = false;
    for run in all() {
        let number = run.state().channels.known(channel);
        if let Some(number) = number {
            run.stranger(what, at, number);
            is_stranger = true;
        }
    }
    is_stranger
}

/// A thread that is no party has made a channel at this address: one of a model that was there has gone.
pub(super) fn forget(channel: ChannelId) {
    all().iter().for_each(|run| run.state().channels.forget(channel));
}

/// Looks at the runs again and again; ends soon after the last one.
fn stay_awake() {
    let mut idle = 0;
    loop {
        thread::sleep(pause());
        for run in stand_still() {
            run.stand_still();
        }
        let mut watchdog = WATCHDOG.lock();
        idle = if watchdog.runs.is_empty() { idle + 1 } else { 0 };
        if idle > 20 {
            watchdog.is_awake = false;
            return;
        }
    }
}

/// A part of the shortest patience.
fn pause() -> Duration {
    let patience = all().iter().map(|run| run.settings.patience).min();
    let part = patience.map_or(Duration::from_millis(10), |patience| patience / 8);
    part.clamp(Duration::from_millis(2), Duration::from_millis(200))
}

/// The runs that have not come on for as long as their patience.
fn stand_still() -> Vec<Arc<Run>> {
    let mut watchdog = WATCHDOG.lock();
    let now = Instant::now();
    let mut still = Vec::new();
    for watched in &mut watchdog.runs {
        let Some(run) = watched.run.upgrade() else { continue };
        let progress = run.progress();
        if progress.is_none() || progress != watched.progress {
            (watched.progress, watched.since) = (progress, now);
        } else if now - watched.since > run.settings.patience {
            still.push(run);
        }
    }
    still
}
