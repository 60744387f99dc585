//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Measures handover beside other channels and prints tables (Markdown). Fails if the cost of one item or of one channel grows with the
number of channels, tasks or threads by more than the tables permit.

usage: cargo run --release -- [--quick] [--runs N] [--only ROW]... [--json FILE] [--write-docs] [--list]
       cargo run --release -- --from FILE [--write-docs]

  --quick       fewer and shorter samples: about three minutes a run
  --runs N      measures everything N times, one run after the other, and puts the samples together
  --only ROW    only this row; may be repeated
  --json FILE   also writes all samples
  --from FILE   measures nothing and reads such a file
  --write-docs  writes the tables and charts of README.md and docs/; also measures some rows with the profile 'thin-lto'
  --list        lists the rows and the programs in them, and measures nothing
  --help        prints this

cargo run --profile thin-lto -- ... measures with thin link-time optimisation and one codegen unit.";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) is_quick: bool,
    pub(crate) runs: usize,
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) from: Option<PathBuf>,
    pub(crate) write_docs: bool,
    pub(crate) list: bool,
    pub(crate) help: bool,
    /// Not for users: this process was started by the program itself, and prints JSON for its parent.
    pub(crate) is_child: bool,
    /// Not for users: this process shall keep to one core.
    pub(crate) is_pinned: bool,
}

pub(crate) const CHILD: &str = "child";
pub(crate) const PINNED: &str = "pinned-to-one-core";

/// Reads the arguments. `rows` are the identifiers that `--only` accepts.
pub(crate) fn parse(rows: &[&str]) -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options { runs: 1, ..Options::default() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => options.is_quick = true,
            Long("runs") => options.runs = parser.value()?.parse()?,
            Long("only") => {
                let row = parser.value()?.string()?;
                if !rows.contains(&row.as_str()) {
                    return Err(format!("no row '{row}', only {}", rows.join(", ")).into());
                }
                options.only.push(row);
            }
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("from") => options.from = Some(parser.value()?.into()),
            Long("write-docs") => options.write_docs = true,
            Long("list") => options.list = true,
            Long("help") | Short('h') => options.help = true,
            Long(CHILD) => options.is_child = true,
            Long(PINNED) => options.is_pinned = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.write_docs && !options.only.is_empty() {
        return Err("--write-docs needs all rows, so --only does not go with it".into());
    }
    if options.runs == 0 {
        return Err("--runs needs at least 1".into());
    }
    Ok(options)
}
