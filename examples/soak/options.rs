//! The options of the command line.

use std::ffi::OsString;
use std::num::NonZero;
use std::time::{SystemTime, UNIX_EPOCH};

use lexopt::{Arg, Parser, ValueExt};

use crate::scenes::SCENES;

pub(crate) const HELP: &str = "\
Random operations on all channels, cancelled at any moment, with every value counted.

Usage: soak [--seconds N] [--seed N] [OPTIONS]

  --seconds N     for how long rounds are begun (default: 60)
  --seed N        the seed of all choices (default: from the clock; it is printed)
  --round K       repeats the choices of this round of the seed, again and again
  --only SCENE    only rounds of this kind: simplex, duplex, stream, rendezvous, order,
                  select, pipe, produce, sink (with the feature `sink`)
  --without WHAT  leaves out `forgets` (futures that are forgotten), `panics` (of wakers
                  and destructors), `tokio` (its two executors) or `executors` (all but the
                  polling by hand); may be given again
  --lanes N       how many rounds run at the same time (default: one a core)
  --patience N    a round that makes no step for N seconds hangs (default: 60)
  --pinned        runs everything on one core (by `taskset`)
  --help          prints this

The exit status is 0 if nothing was wrong, 1 after a fault or a hang, 2 if the options
are wrong, and 130 if the soak was interrupted before it had seen any fault.
";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) round: Option<u64>,
    pub(crate) only: Option<String>,
    pub(crate) forgets: bool,
    pub(crate) panics: bool,
    pub(crate) tokio: bool,
    /// Of other crates.
    pub(crate) executors: bool,
    pub(crate) lanes: usize,
    pub(crate) patience: u64,
    pub(crate) is_pinned: bool,
}

impl Options {
    /// `None` when only help is wanted.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos());
        let mut options = Self {
            seconds: 60,
            // A number that is easily copied.
            seed: now as u64 % 1_000_000_000,
            round: None,
            only: None,
            forgets: true,
            panics: true,
            tokio: true,
            executors: true,
            lanes: std::thread::available_parallelism().map_or(1, NonZero::get),
            patience: 60,
            is_pinned: false,
        };
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(|error| error.to_string())? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("seconds") => options.seconds = positive(&mut args, "--seconds")?,
                Arg::Long("seed") => options.seed = number(&mut args, "--seed")?,
                Arg::Long("round") => options.round = Some(number(&mut args, "--round")?),
                Arg::Long("lanes") => options.lanes = positive(&mut args, "--lanes")? as usize,
                Arg::Long("patience") => options.patience = positive(&mut args, "--patience")?,
                Arg::Long("pinned") => options.is_pinned = true,
                Arg::Long("only") => options.only = Some(scene(word(&mut args, "--only")?)?),
                Arg::Long("without") => match &*word(&mut args, "--without")? {
                    "forgets" => options.forgets = false,
                    "panics" => options.panics = false,
                    "tokio" => options.tokio = false,
                    "executors" => (options.executors, options.tokio) = (false, false),
                    other => {
                        return Err(format!(
                            "--without {other}: it knows `forgets`, `panics`, `tokio` and `executors`"
                        ));
                    }
                },
                other => return Err(other.unexpected().to_string()),
            }
        }
        Ok(Some(options))
    }
}

fn word(args: &mut Parser, option: &str) -> Result<String, String> {
    let value = args.value().map_err(|_| format!("{option} needs a value"))?;
    value.string().map_err(|_| format!("{option}: the value is no text"))
}

fn number(args: &mut Parser, option: &str) -> Result<u64, String> {
    let word = word(args, option)?;
    word.parse().map_err(|_| format!("{option} {word}: it must be a number from 0 to {}", u64::MAX))
}

fn positive(args: &mut Parser, option: &str) -> Result<u64, String> {
    // Longer times than any clock knows are wrong, too.
    match number(args, option)? {
        number @ 1..=1_000_000_000 => Ok(number),
        number => Err(format!("{option} {number}: it must be a number from 1 to 1000000000")),
    }
}

fn scene(name: String) -> Result<String, String> {
    if SCENES.iter().any(|(scene, ..)| *scene == name) {
        return Ok(name);
    }
    let names: Vec<_> = SCENES.iter().map(|(scene, ..)| *scene).collect();
    Err(format!("--only {name}: it knows {} (and `sink` with that feature)", names.join(", ")))
}
