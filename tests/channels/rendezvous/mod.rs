//! Channels of many ends: `rendezvous()`.

mod cancel;
mod cases;
mod classics;
mod destructors;
mod ends;
mod history;
mod kept;
mod matrix;
mod model;
mod order;
mod panics;
mod permits;
mod reenter;
mod says;
mod time;
mod turns;
mod waits;
mod wakers;
