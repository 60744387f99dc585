//! x
mod answering;
mod asking;
mod codec;
mod driver;
mod error;
mod jobs;
mod local;
mod lockstep;
mod names;
mod options;
#[cfg(feature = "planted-fault")]
#[doc(hidden)]
pub mod planted_fault;
mod presence;
mod protocol;
mod stream;
mod wire;

pub use answering::Ended;
pub use driver::Driver;
pub use error::Error;
pub use jobs::{Job, Jobs, Shared, share, work};
pub use local::{open_local, open_local_connecting, open_local_listening};
pub use lockstep::{export, import};
pub use options::Options;
pub use stream::{export_reader, import_reader};
pub use zenoh;
