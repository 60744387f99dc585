//! Measures `handover` beside other crates: the same work for each, checked, in rotation. See `--help`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Value, json};

use cli::Options;
use growth::{Grown, Growth};
use report::Measured;
use table::{Plan, Row, Table};

mod batches;
mod chart;
mod choose;
mod cli;
mod clock;
mod contestants;
mod drive;
mod ends;
mod footprint;
mod growth;
mod heap;
mod line_chart;
mod many;
mod report;
mod table;
mod watch;

fn main() -> ExitCode {
    let mut table = Table::new();
    contestants::enter(&mut table);
    let growths = growth::all();
    let ids = table.rows.iter().map(|row| row.id).chain(growths.iter().map(|growth| growth.id));
    let ids: Vec<_> = ids.collect();
    let options = match cli::parse(&ids) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("rivals: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options, &table, &growths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rivals: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, table: &Table, growths: &[Growth]) -> io::Result<()> {
    if options.is_pinned {
        // Before anything asks how many cores there are.
        clock::pin_to_one_core()?;
    }
    let mut out = io::stdout().lock();
    if options.help {
        return writeln!(out, "{}", cli::HELP);
    }
    let is_wanted = |id| options.only.is_empty() || options.only.iter().any(|only| only == id);
    let rows = || table.rows.iter().filter(|row| is_wanted(row.id));
    let growths = || growths.iter().filter(|growth| is_wanted(growth.id));
    if options.list {
        for row in rows() {
            let names: Vec<_> = row.programs.iter().map(|program| program.name).collect();
            writeln!(out, "{}: {}\n    {}", row.id, row.title, names.join("; "))?;
        }
        for growth in growths() {
            let (first, last) = (growth.numbers[0], growth.numbers[growth.numbers.len() - 1]);
            let (id, title, what) = (growth.id, growth.title, growth.what);
            writeln!(out, "{id}: {title}, {first} to {last} {what}")?;
            writeln!(out, "    {}", growth.names().join("; "))?;
        }
        return Ok(());
    }

    watch::start();
    // Fails now rather than after all the work.
    let json_file =
        options.json.as_ref().map(|path| named(path, fs::File::create(path))).transpose()?;
    let plan = Plan::new(options.is_quick);
    let mut measured = Vec::new();
    for row in rows() {
        let samples = if options.is_pinned {
            row.measure(&plan)
        } else {
            eprintln!("{} ...", row.id);
            if row.on_one_core { on_one_core(row, options)? } else { row.measure(&plan) }
        };
        measured.push(Measured { row, samples });
    }

    let rows: Vec<_> = measured.iter().map(Measured::to_json).collect();
    if options.is_pinned {
        return writeln!(out, "{}", json!({ "rows": rows }));
    }
    let grown = growths().map(|growth| {
        eprintln!("{} ...", growth.id);
        growth.measure(&plan)
    });
    let grown: Vec<_> = grown.collect();
    if let Some(mut file) = json_file {
        let report = json!({
            "machine": report::machine(),
            "quick": options.is_quick,
            "rows": rows,
            "growth": grown.iter().map(Grown::to_json).collect::<Vec<_>>(),
        });
        writeln!(file, "{report:#}")?;
    }
    let how = format!(
        "Median (lowest – highest) of {} samples of {} ms, the programs in rotation; {} where a sample takes a second. \
         CPU time is user and system of the whole process. The figure in a name is the capacity.",
        plan.rounds,
        plan.sample.as_millis(),
        plan.rounds_of_once,
    );
    write!(out, "{}", report::markdown(&measured, &grown, &how))?;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for chart in named(&docs, chart::draw(&measured, &docs))? {
        eprintln!("drawn: docs/{chart}");
    }
    for chart in named(&docs, line_chart::draw(&grown, &docs))? {
        eprintln!("drawn: docs/{chart}");
    }
    let too_fast: Vec<_> = grown.iter().filter_map(Grown::too_fast).collect();
    if too_fast.is_empty() { Ok(()) } else { Err(io::Error::other(too_fast.join("; "))) }
}

/// Measures a row in a process of its own, which has one core from its first moment on.
fn on_one_core(row: &Row, options: &Options) -> io::Result<Vec<Vec<Vec<f64>>>> {
    let mut child = Command::new(env::current_exe()?);
    child.args(["--only", row.id]).arg(format!("--{}", cli::PINNED)).stderr(Stdio::inherit());
    if options.is_quick {
        child.arg("--quick");
    }
    let output = child.output()?;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let programs = report["rows"][0]["programs"].as_array();
    let samples = programs.map(|programs| programs.iter().map(samples_of).collect::<Vec<_>>());
    let is_whole =
        |samples: &Vec<_>| output.status.success() && samples.len() == row.programs.len();
    samples
        .filter(is_whole)
        .ok_or_else(|| io::Error::other(format!("row {}: {}", row.id, output.status)))
}

fn samples_of(program: &Value) -> Vec<Vec<f64>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let figures = list(&program["figures"]);
    figures
        .iter()
        .map(|figure| list(&figure["samples"]).iter().filter_map(Value::as_f64).collect())
        .collect()
}

/// Names the file in an error about it.
fn named<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", PathBuf::from(path).display()))
    })
}
