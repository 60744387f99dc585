//! One routine that feeds two channels: something that a generator, with its single `yield`, cannot do.
//!
//! `send` returns when its consumer comes back for the next message, that is, when it has printed this one. So the four
//! lines come in the order in which the routine sends, although two threads print them.
//!
//! ```text
//! cargo run --example greetings
//! ```
//!
//! prints
//!
//! ```text
//! Message for Arnold: Hello Arnold.
//! Message for Bernard: Hello Bernard.
//! Message for Arnold: Goodbye Arnold.
//! Message for Bernard: Goodbye Bernard.
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use std::thread;

use handover::{Client, SendError, Server, simplex};

fn main() -> Result<(), SendError<&'static str>> {
    let (for_arnold, arnold) = simplex();
    let (for_bernard, bernard) = simplex();
    thread::scope(|scope| {
        scope.spawn(|| print_messages("Arnold", arnold));
        scope.spawn(|| print_messages("Bernard", bernard));
        greet(for_arnold, for_bernard)
    })
}

fn greet<'m>(mut a: Server<&'m str>, mut b: Server<&'m str>) -> Result<(), SendError<&'m str>> {
    a.send("Hello Arnold.").wait()?;
    b.send("Hello Bernard.").wait()?;
    a.send("Goodbye Arnold.").wait()?;
    b.send("Goodbye Bernard.").wait()?;
    a.finish();
    b.finish();
    Ok(())
}

fn print_messages(name: &str, messages: Client<&str>) {
    for message in messages {
        println!("Message for {name}: {message}");
    }
}
