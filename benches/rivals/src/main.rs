//! Measures `handover` beside other crates: the same work for each, checked, in turn. See `--help`.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use cli::Options;
use growth::Growth;
use results::{OtherProfile, Results, RowResult};
use table::{Plan, Row, Table};

mod batches;
mod charts;
mod choose;
mod cli;
mod clock;
mod contestants;
mod docs;
mod drive;
mod ends;
mod footprint;
mod format;
mod growth;
mod heap;
mod many;
mod promise;
mod report;
mod results;
mod table;
mod watch;

/// The second build profile: see `Cargo.toml`.
const OTHER_PROFILE: &str = "thin-lto";

fn main() -> ExitCode {
    let mut table = Table::new();
    contestants::add_to(&mut table);
    let growths = growth::all();
    let ids = table.rows.iter().map(|row| row.id).chain(growths.iter().map(|growth| growth.id));
    let ids: Vec<_> = ids.chain([promise::ID]).collect();
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

fn run(options: &Options, table: &Table, growths: &[Growth]) -> Result<(), Box<dyn Error>> {
    if options.is_pinned {
        // Some crates ask only once how many cores there are, so this comes first.
        clock::pin_to_one_core()?;
    }
    let is_wanted =
        |id: &str| options.only.is_empty() || options.only.iter().any(|only| only == id);
    let rows: Vec<_> = table.rows.iter().filter(|row| is_wanted(row.id)).collect();
    let growths: Vec<_> = growths.iter().filter(|growth| is_wanted(growth.id)).collect();
    let mut out = io::stdout().lock();
    if options.help {
        writeln!(out, "{}", cli::HELP)?;
        return Ok(());
    }
    if options.list {
        list(&mut out, &rows, &growths)?;
        return Ok(());
    }
    if options.is_child {
        watch::start();
        let plan = Plan::new(options.is_quick);
        let rows: Vec<_> = rows.iter().map(|row| row.measure(&plan)).collect();
        writeln!(out, "{}", serde_json::to_string(&rows)?)?;
        return Ok(());
    }

    let results = match &options.from {
        Some(file) => {
            let text =
                fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            serde_json::from_str(&text)?
        }
        None => measured(options, &rows, &growths)?,
    };
    write!(out, "{}", report::whole(&results))?;
    if options.write_docs {
        docs::write(&results, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))?;
    }
    let failures: Vec<_> = results.growth.iter().flat_map(|growth| growth.failures()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

fn list(out: &mut impl Write, rows: &[&Row], growths: &[&Growth]) -> io::Result<()> {
    for row in rows {
        let names: Vec<_> = row.programs.iter().map(|program| program.name).collect();
        writeln!(out, "{}: {}\n    {}", row.id, row.title, names.join("; "))?;
    }
    for growth in growths {
        let (first, last) = (growth.numbers[0], growth.numbers[growth.numbers.len() - 1]);
        let Growth { id, title, counted, .. } = growth;
        writeln!(out, "{id}: {title}, {first} to {last} {counted}")?;
        writeln!(out, "    {}", growth.names().join("; "))?;
    }
    writeln!(out, "{}: whether each channel keeps the promise", promise::ID)
}

fn measured(
    options: &Options,
    rows: &[&Row],
    growths: &[&Growth],
) -> Result<Results, Box<dyn Error>> {
    watch::start();
    // A file that cannot be written is reported before all the work.
    let json = options
        .json
        .as_ref()
        .map(|path| fs::File::create(path).map_err(|error| format!("{}: {error}", path.display())));
    let json = json.transpose()?;
    let plan = Plan::new(options.is_quick);
    let mut results = Results {
        machine: report::machine(),
        profile: profile(),
        method: method(&plan, options.runs),
        ..Results::default()
    };
    for run in 1..=options.runs {
        let measure = |row: &&Row| {
            eprintln!("run {run} of {}: {} ...", options.runs, row.id);
            if row.on_one_core { on_one_core(row, options) } else { Ok(row.measure(&plan)) }
        };
        let measured = rows.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
        append(&mut results.rows, measured);
        if options.write_docs {
            eprintln!("run {run} of {}: profile {OTHER_PROFILE} ...", options.runs);
            let measured = with_other_profile(rows, options)?;
            let other = results.other_profile.get_or_insert_with(|| OtherProfile {
                profile: OTHER_PROFILE.into(),
                rows: Vec::new(),
            });
            append(&mut other.rows, measured);
        }
    }
    for growth in growths {
        eprintln!("{} ...", growth.id);
        results.growth.push(growth.measure(&plan));
    }
    results.promises = promise::observe();
    if let Some(mut file) = json {
        writeln!(file, "{}", serde_json::to_string_pretty(&results)?)?;
    }
    Ok(results)
}

fn append(rows: &mut Vec<RowResult>, later: Vec<RowResult>) {
    if rows.is_empty() {
        *rows = later;
    } else {
        rows.iter_mut().zip(later).for_each(|(row, later)| row.append(later));
    }
}

fn method(plan: &Plan, runs: usize) -> String {
    format!(
        "Medians of {} samples of {} ms ({} runs of {} rounds; each round runs every program once, and every second round in the \
         opposite order), of {} samples where a sample takes a second. Between threads and tasks the figure of a round is the median \
         of five shorter samples. A ratio is the median of the ratios in each round. In brackets: lowest and highest without the outer \
         tenth on either side. CPU time is user and system of the whole process. The figure in a name is the capacity.",
        runs * plan.rounds,
        plan.sample.as_millis(),
        runs,
        plan.rounds,
        runs * plan.rounds_of_once,
    )
}

/// The Cargo profile of this program: the name of the folder that the program is in.
fn profile() -> String {
    let program = env::current_exe().ok();
    let folder = program.as_deref().and_then(Path::parent).and_then(Path::file_name);
    folder.map_or_else(|| "unknown".into(), |folder| folder.to_string_lossy().into_owned())
}

/// Measures a row in a process of its own, which keeps to one core from its first moment on.
fn on_one_core(row: &Row, options: &Options) -> Result<RowResult, Box<dyn Error>> {
    let mut child = Command::new(env::current_exe()?);
    child.arg(format!("--{}", cli::PINNED));
    let mut rows = from_child(child, &[row.id], options)?;
    rows.pop().ok_or_else(|| format!("row {}: no result", row.id).into())
}

/// Measures some rows by a program that is built with the other profile.
fn with_other_profile(rows: &[&Row], options: &Options) -> Result<Vec<RowResult>, Box<dyn Error>> {
    let ids: Vec<_> = rows.iter().filter(|row| row.in_both_profiles).map(|row| row.id).collect();
    let mut child = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    child
        .args(["run", "--quiet", "--profile", OTHER_PROFILE, "--"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    from_child(child, &ids, options)
}

fn from_child(
    mut child: Command,
    ids: &[&str],
    options: &Options,
) -> Result<Vec<RowResult>, Box<dyn Error>> {
    child.arg(format!("--{}", cli::CHILD)).stderr(Stdio::inherit());
    child.args(ids.iter().flat_map(|id| ["--only", id]));
    if options.is_quick {
        child.arg("--quick");
    }
    let output = child.output()?;
    if !output.status.success() {
        return Err(format!("rows {}: {}", ids.join(", "), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs that are no channels between two parties: no send and no receive can be tried there.
    const NO_CHANNELS: [&str; 2] = ["genawaiter sync", "genawaiter rc (not Send)"];

    #[test]
    fn every_rival_was_tried_for_the_promise() {
        let mut table = Table::new();
        contestants::add_to(&mut table);
        let promises = promise::observe();
        for row in &table.rows {
            for program in
                row.programs.iter().filter(|program| program.kind == results::Kind::Rival)
            {
                let channel = report::channel(program.name);
                let is_tried = promises.iter().any(|promise| promise.name == channel);
                assert!(is_tried || NO_CHANNELS.contains(&program.name), "{}", program.name);
            }
        }
    }
}
