//! `generate`, `produce` and their kin: a routine that pushes, as something to pull from.
//!
//! |                              | the routine runs                            | the consumer              |
//! |------------------------------|---------------------------------------------|---------------------------|
//! | `generate`, `try_generate`   | in the consumer, between two items          | an iterator or a stream   |
//! | `produce`, `try_produce`     | on a thread of its own                      | an iterator or a stream   |
//! | `produce_in`                 | on a thread of a scope, with borrowed data  | an iterator or a stream   |
//! | `produce_on`, `try_produce_on` | on a pool                                 | an iterator or a stream   |

mod generator;
mod job;

pub use generator::{Generator, TryGenerator, generate, try_generate};
pub use job::{
    Produced, ProducedIn, ProducedOn, TryProduced, TryProducedOn, produce, produce_in, produce_on,
    try_produce, try_produce_on,
};
