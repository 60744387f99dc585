//! Channels of many ends: `rendezvous()`.

mod cancel;
mod cases;
mod classics;
mod destructors;
mod ends;
mod finish;
mod history;
#[cfg(target_os = "linux")]
mod idle;
mod kept;
mod kept_receives;
mod kept_wakers;
mod matrix;
mod model;
mod order;
mod panics;
mod permits;
mod permits_for_each_other;
mod reenter;
mod says;
mod scale;
mod time;
mod turns;
mod waits;
mod wakers;
