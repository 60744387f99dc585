#![cfg(not(handover_loom))]

mod hash_tree;
mod programs;
mod words;
