//! Streams: items that are written one by one and read in batches.

mod cancelled_reads;
mod cancelled_writes;
mod cases;
mod ends;
mod iterators;
mod matrix;
mod memory;
mod model;
mod panics;
mod races;
mod requests;
mod wanted;
