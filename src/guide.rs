//! Pages on what meets a program at its edges. They hold no code but examples.

#[doc = include_str!("../docs/foreign-select.md")]
pub mod foreign_select {}

#[doc = include_str!("../docs/when-it-hangs.md")]
pub mod when_it_hangs {}

#[doc = include_str!("../docs/response-bodies.md")]
pub mod response_bodies {}

#[doc = include_str!("../docs/coming-from.md")]
pub mod coming_from {}
