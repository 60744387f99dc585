//! The first example of `docs/model.md`. The code and the report stand there as they are here.

use std::time::Duration;

use handover::duplex;
use handover::model::{self, thread};

use crate::support::{schedule, watched};

// begin
/// A clerk answers questions. Each may take at most a millisecond.
fn ask(questions: u32) {
    let (mut server, mut client) = duplex::<u32, u32>();
    let clerk = thread::Builder::new().name("clerk".to_string()).spawn(move || {
        let mut question = server.demand().wait().unwrap();
        while let Ok(next) = server.exchange(question * 10).wait() {
            question = next;
        }
    });
    for question in 1..=questions {
        match client.exchange(question).wait_timeout(Duration::from_millis(1)) {
            Ok(answer) => assert_eq!(answer, question * 10),
            Err(error) if error.unsent().is_some() => {} // it was not taken
            Err(_) => assert_eq!(client.owed().wait(), Ok(question * 10)),
        }
    }
    client.close();
    clerk.unwrap().join().unwrap();
}
// end

#[test]
fn the_chapter_says_what_is_so() {
    let chapter = include_str!("../../docs/model.md");
    let here = include_str!("first_example.rs");
    let code = here.split("// begin\n").nth(1).unwrap().split("// end\n").next().unwrap();
    assert!(chapter.contains(code), "the code of the chapter is another one");
    let failure = watched(|| model::check(&schedule("2:1"), || ask(1))).unwrap_err();
    let report = failure.report();
    assert!(chapter.contains(report), "the report of the chapter is another one:\n{report}");
}
