//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Measures handover beside other channels; prints a table (Markdown), draws the charts in docs/. Fails if the cost of one item or
channel grows with the number of channels, tasks or threads by more than the table allows.

usage: cargo run --release -- [--quick] [--only ROW]... [--json FILE] [--list]

  --quick      fewer and shorter samples: ends within two minutes
  --only ROW   only this row; may be repeated (a chart is drawn if all of its rows are measured)
  --json FILE  writes all samples, too
  --list       lists the rows and who takes part, and measures nothing
  --help       prints this";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) is_quick: bool,
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) list: bool,
    pub(crate) help: bool,
    /// Not for users: this process is one that the program started to measure a row on one core.
    pub(crate) is_pinned: bool,
}

pub(crate) const PINNED: &str = "pinned-to-one-core";

/// Reads the arguments. `rows` are the rows that there are.
pub(crate) fn parse(rows: &[&str]) -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => options.is_quick = true,
            Long("only") => {
                let row = parser.value()?.string()?;
                if !rows.contains(&row.as_str()) {
                    return Err(format!("no row '{row}', only {}", rows.join(", ")).into());
                }
                options.only.push(row);
            }
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("list") => options.list = true,
            Long("help") | Short('h') => options.help = true,
            Long(PINNED) => options.is_pinned = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}
