//! A conversation over a `duplex` channel: letters come down, numbers go up.
//!
//! The letters end runs on a thread and says the numbers that it is given; the numbers end is a task and says the letters.
//! Only one of them has the turn at any time, so what they say alternates.
//!
//! ```text
//! cargo run --example letters_numbers
//! ```
//!
//! prints
//!
//! ```text
//! A 0 B 1
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use std::error::Error;
use std::thread;

use handover::{Client, SendError, Server, Why, duplex};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (server, client) = duplex();
    let letters = thread::spawn(move || letters(server));
    pollster::block_on(numbers(client))?;
    println!();
    letters.join().expect("a panic has already ended the conversation")
}

/// Waits to be asked, then answers with letters and says what comes back for each.
fn letters(mut server: Server<char, Option<u32>>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let _nothing = server.demand().wait()?;
    for letter in ['A', 'B'] {
        if let Some(number) = server.exchange(letter).wait()? {
            print!(" {number}");
        }
    }
    server.finish();
    Ok(())
}

/// Asks with nothing, then with 0, 1, 2 and so on until the other end has finished, and says the answers.
async fn numbers(mut client: Client<char, Option<u32>>) -> Result<(), SendError<Option<u32>>> {
    print!("{}", client.exchange(None).await?);
    for number in 0.. {
        match client.exchange(Some(number)).await {
            Ok(letter) => print!(" {letter}"),
            Err(end) if end.why() == Why::Closed => break,
            Err(end) => return Err(end),
        }
    }
    Ok(())
}
