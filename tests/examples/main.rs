//! Runs every example as a program, and compares what it prints with what its header promises.
#![cfg(not(any(handover_loom, handover_shuttle)))]

mod body;
#[cfg(feature = "diagnose")]
mod deadlock;
mod events;
mod hash_tree;
mod lines_to_async;
mod links;
#[cfg(feature = "tokio")]
mod pipes;
mod pool;
mod programs;
mod select_race;
mod soak;
mod words;

macro_rules! prints_what_its_header_says {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let source = include_str!(concat!("../../examples/", stringify!($name), ".rs"));
            assert_eq!(run(&mut example(stringify!($name))).output(), promised(source));
        }
    )*};
}

mod prints_what_its_header_says {
    use crate::programs::{example, promised, run};

    prints_what_its_header_says! { letters_numbers greetings delegate bridge async_to_read }
}
