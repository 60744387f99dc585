//! Rendezvous channels between threads and tasks, in which nothing is buffered and nothing is lost.

mod error;
mod lockstep;
pub mod op;
mod produce;
mod pull;
mod step;
mod stream;
mod sync;
mod turn;
mod wait;

pub use error::{RecvError, Rest, SendError, Why, WriteError};
pub use lockstep::{Client, IntoIter, IntoStream, Iter, Server, Stream, duplex, simplex};
pub use produce::{
    Generator, GeneratorStream, Produced, ProducedIn, ProducedInStream, ProducedStream, generate,
    produce, produce_in,
};
pub use stream::{
    Ahead, AheadStream, Batch, Chunks, ChunksStream, IntoItems, IntoItemsStream, Items,
    ItemsStream, Reader, Writer, stream,
};
