//! The results as Markdown tables.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::format::{emphasised, figure, figure_with_spread};
use crate::results::{
    Fate, GrowthResult, Kind, Parties, ProgramResult, PromiseResult, Results, RowResult, Spread,
    median,
};

/// Everything, as it is printed.
pub(crate) fn whole(results: &Results) -> String {
    let mut text = format!("{}\n\n", run(results));
    for table in
        [summary(results, |_| true), promises(results), rows(&results.rows), growth(results)]
    {
        if !table.is_empty() {
            _ = write!(text, "{table}\n\n");
        }
    }
    if results.other_profile.is_some() {
        text += &other_profile(results);
    }
    text
}

/// What the run was made with, and how it was measured.
pub(crate) fn run(results: &Results) -> String {
    let Results { machine, method, profile, .. } = results;
    format!("{machine}; profile `{profile}`.\n\n{method}")
}

/// One line for each wanted row: the best programs of handover, and the best rivals.
pub(crate) fn summary(results: &Results, is_wanted: impl Fn(&RowResult) -> bool) -> String {
    let mut text = "\
| work | handover | best rival that keeps the promise | ratio | fastest rival | ratio |\n\
|---|---:|---:|---:|---:|---:|"
        .to_string();
    let mut is_empty = true;
    for row in results.rows.iter().filter(|row| is_wanted(row)) {
        let ours = || row.sorted().into_iter().filter(|program| program.kind == Kind::Ours).take(2);
        let Some(best) = ours().next() else { continue };
        let is_rival = |program: &ProgramResult| program.kind == Kind::Rival;
        let keeps =
            |program: &ProgramResult| is_kept(results, &program.name, row.parties) != Some(false);
        let fastest = row.best(is_rival);
        let keeping = row.best(|program| is_rival(program) && keeps(program));
        let cell = |program: Option<&ProgramResult>| {
            program.map_or("–".to_string(), |program| described(row, program))
        };
        let ratio = |program: Option<&ProgramResult>| {
            program.map_or("–".to_string(), |rival| ratio(best, rival))
        };
        let is_same = keeping.map(|program| &program.name) == fastest.map(|program| &program.name);
        let (fastest_cell, fastest_ratio) =
            if is_same { ("the same".into(), "".into()) } else { (cell(fastest), ratio(fastest)) };
        let ours: Vec<_> = ours().map(|program| described(row, program)).collect();
        _ = write!(
            text,
            "\n| {} | {} | {} | {} | {fastest_cell} | {fastest_ratio} |",
            row.title,
            ours.join("; "),
            cell(keeping),
            ratio(keeping),
        );
        is_empty = false;
    }
    if is_empty { String::new() } else { text }
}

fn described(row: &RowResult, program: &ProgramResult) -> String {
    let name = program.name.strip_prefix("handover ").unwrap_or(&program.name);
    let figure = figure_with_spread(Spread::of(&program.samples[0]));
    format!("{name}: {figure} {}", row.measures[0].unit).trim_end().to_string()
}

/// How many times as much ours costs as a rival: the median of the ratios in each round, since figures of different rounds are not
/// comparable where the machine changes.
fn ratio(ours: &ProgramResult, rival: &ProgramResult) -> String {
    let rounds = ours.samples[0].iter().zip(&rival.samples[0]);
    let ratios: Vec<_> = rounds.map(|(ours, rival)| ours / rival).collect();
    let ratio = median(&ratios);
    if ratio.is_finite() { format!("{ratio:.2}") } else { "–".to_string() }
}

/// Whether the channel of a program keeps the promise where the row's parties live. None if it is no channel.
fn is_kept(results: &Results, program: &str, parties: Parties) -> Option<bool> {
    let channel = channel(program);
    let promise = results.promises.iter().find(|promise| promise.name == channel)?;
    promise.is_kept(parties)
}

/// The channel in a program's name, such as "kanal(0)" in "kanal(0) × 2" and in "kanal(0), a Vec a batch".
pub(crate) fn channel(program: &str) -> &str {
    program.find([')']).map_or(program, |at| &program[..=at])
}

/// All programs of each row with all measures.
pub(crate) fn rows(rows: &[RowResult]) -> String {
    rows.iter().map(row).collect::<Vec<_>>().join("\n\n")
}

fn row(row: &RowResult) -> String {
    let mut text = format!("### {}\n\n| program |", row.title);
    let mut rule = "|---|".to_string();
    for measure in &row.measures {
        let unit =
            if measure.unit.is_empty() { String::new() } else { format!(", {}", measure.unit) };
        _ = write!(text, " {}{unit} |", measure.name);
        rule += "---:|";
    }
    _ = write!(text, " × fastest rival |\n{rule}---:|");
    let best = row.best(|program| program.kind == Kind::Rival);
    for program in row.sorted() {
        _ = write!(text, "\n| {} |", emphasised(program.kind, &program.name));
        for samples in &program.samples {
            let spread = Spread::of(samples);
            if spread.low == spread.high {
                _ = write!(text, " {} |", figure(spread.median));
            } else {
                let Spread { low, median, high } = spread;
                let mark = if spread.is_wide() { " !" } else { "" };
                let [low, median, high] = [low, median, high].map(figure);
                _ = write!(text, " {median} ({low} – {high}){mark} |");
            }
        }
        let times = best.map_or_else(String::new, |best| ratio(program, best));
        _ = write!(text, " {times} |");
    }
    text
}

/// The rows that were measured with both build profiles, side by side.
pub(crate) fn other_profile(results: &Results) -> String {
    let Some(other) = &results.other_profile else { return String::new() };
    let mut text = format!(
        "| work | program | `{}` | `{}` |\n|---|---|---:|---:|",
        results.profile, other.profile
    );
    for row in &other.rows {
        let Some(first) = results.rows.iter().find(|first| first.id == row.id) else { continue };
        for program in first.sorted() {
            let again = row.programs.iter().find(|again| again.name == program.name);
            let unit = &row.measures[0].unit;
            let cell = |program: &ProgramResult| {
                format!("{} {unit}", figure_with_spread(Spread::of(&program.samples[0])))
            };
            _ = write!(
                text,
                "\n| {} | {} | {} | {} |",
                row.title,
                emphasised(program.kind, &program.name),
                cell(program),
                again.map_or("–".to_string(), cell),
            );
        }
    }
    text
}

/// What was observed of each channel's promise.
pub(crate) fn promises(results: &Results) -> String {
    if results.promises.is_empty() {
        return String::new();
    }
    let mut text = "\
| channel | thread: `Ok` while nobody receives | task: `Ok` while nobody receives | \
task: `Ok` before the waiting receive is polled again | that receive is dropped: the value is | keeps the promise |\n\
|---|---|---|---|---|---|"
        .to_string();
    let answer = |is_so: Option<bool>| match is_so {
        Some(true) => "yes",
        Some(false) => "no",
        None => "n/a",
    };
    for promise in &results.promises {
        let PromiseResult { name, kind, is_early_on_threads, tasks } = promise;
        let fate = tasks.as_ref().map_or("n/a", |tasks| match tasks.fate {
            Fate::Received => "received by the next one",
            Fate::Lost => "**lost**",
            Fate::Stuck => "with its sender, which waits",
        });
        let verdict = match (promise.is_kept(Parties::Threads), promise.is_kept(Parties::Tasks)) {
            (Some(true) | None, Some(true) | None) => "**yes**",
            (Some(true), Some(false)) => "threads only",
            (Some(false), Some(true)) => "tasks only",
            _ => "no",
        };
        _ = write!(
            text,
            "\n| {} | {} | {} | {} | {fate} | {verdict} |",
            emphasised(*kind, name),
            answer(*is_early_on_threads),
            answer(tasks.as_ref().map(|tasks| tasks.is_early)),
            answer(tasks.as_ref().map(|tasks| tasks.is_early_beside_a_receive)),
        );
    }
    text
}

/// What one more costs where there are many.
pub(crate) fn growth(results: &Results) -> String {
    results.growth.iter().map(growth_table).collect::<Vec<_>>().join("\n\n")
}

fn growth_table(result: &GrowthResult) -> String {
    let GrowthResult { title, counted, unit, limit, numbers, lines, .. } = result;
    let mut text = format!("### {title}\n\n| {unit}, by the number of {counted} |");
    for &number in numbers {
        _ = write!(text, " {} |", figure(number as f64));
    }
    _ = write!(text, " rise |\n|---|{}---:|", "---:|".repeat(numbers.len()));
    for line in lines {
        _ = write!(text, "\n| {} |", emphasised(line.kind, &line.name));
        for samples in &line.samples {
            _ = write!(text, " {} |", figure_with_spread(Spread::of(samples)));
        }
        _ = write!(text, " {:.2} |", line.rise());
    }
    let failures = result.failures();
    let verdict = if failures.is_empty() { "this holds".to_string() } else { failures.join("; ") };
    _ = write!(
        text,
        "\n\nThe rise is the lowest cost at the greatest number, divided by the median of the lowest costs at the others. No line of handover \
         may rise more than × {limit}: {verdict}."
    );
    text
}

/// The processor, the cores, the compiler and the versions of the crates.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = available_parallelism().map_or(1, usize::from);
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc = rustc.and_then(|output| String::from_utf8(output.stdout).ok());
    let rustc = rustc.as_deref().map_or("unknown compiler", str::trim);
    format!("{model}, {cores} cores; {rustc}; {}", versions().join(", "))
}

fn versions() -> Vec<String> {
    const CRATES: [&str; 11] = [
        "handover",
        "async-channel",
        "crossbeam-channel",
        "crossfire",
        "flume",
        "futures-channel",
        "genawaiter",
        "handoff",
        "kanal",
        "rtrb",
        "tokio",
    ];
    let lock = include_str!("../Cargo.lock");
    let version = |name: &&str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split_once('"')?.0))
    };
    CRATES.iter().filter_map(version).collect()
}
