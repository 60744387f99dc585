//! What was measured: as JSON, which is also how a process on one core tells its parent, and as Markdown.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use serde_json::{Value, json};

use crate::growth::Grown;
use crate::table::{Kind, Row, spread};

/// A row with its figures.
pub(crate) struct Measured<'a> {
    pub(crate) row: &'a Row,
    /// For each program, for each measure, one a round.
    pub(crate) samples: Vec<Vec<Vec<f64>>>,
}

/// A program's place in a row.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Lowest, median and highest, for each measure.
    pub(crate) figures: Vec<[f64; 3]>,
}

impl Line {
    /// The figure that a row is about.
    pub(crate) fn main(&self) -> f64 {
        self.figures[0][1]
    }
}

impl Measured<'_> {
    /// The programs, the best first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let programs = self.row.programs.iter().zip(&self.samples);
        let mut lines: Vec<_> = programs
            .map(|(program, samples)| Line {
                name: program.name,
                kind: program.kind,
                figures: samples.iter().map(|samples| spread(samples)).collect(),
            })
            .collect();
        lines.sort_by(|a, b| a.main().total_cmp(&b.main()));
        lines
    }

    pub(crate) fn to_json(&self) -> Value {
        let measures: Vec<_> = self
            .row
            .measures
            .iter()
            .map(|(name, unit)| json!({ "name": name, "unit": unit }))
            .collect();
        let programs = self.row.programs.iter().zip(&self.samples).map(|(program, samples)| {
            let figures: Vec<_> = samples
                .iter()
                .map(|samples| {
                    let [min, median, max] = spread(samples);
                    json!({ "median": median, "min": min, "max": max, "samples": samples })
                })
                .collect();
            json!({ "name": program.name, "kind": program.kind.name(), "figures": figures })
        });
        json!({
            "id": self.row.id,
            "title": self.row.title,
            "measures": measures,
            "programs": programs.collect::<Vec<_>>(),
        })
    }

    fn to_markdown(&self) -> String {
        let lines = self.lines();
        let best = best(&lines, Kind::Rival).map(Line::main).filter(|&best| best > 0.0);
        let mut text = format!("### {}\n\n| program |", self.row.title);
        let mut rule = "|---|".to_string();
        for (name, unit) in self.row.measures {
            let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
            _ = write!(text, " {name}{unit} |");
            rule += "---:|";
        }
        _ = writeln!(text, " × best rival |\n{rule}---:|");
        for line in &lines {
            _ = write!(text, "| {} |", named(line.kind, line.name));
            for &[min, median, max] in &line.figures {
                if min == max {
                    _ = write!(text, " {} |", figure(median));
                } else {
                    let [min, median, max] = [min, median, max].map(figure);
                    _ = write!(text, " {median} ({min} – {max}) |");
                }
            }
            let times = best.map_or_else(String::new, |best| format!("{:.2}", line.main() / best));
            _ = writeln!(text, " {times} |");
        }
        text
    }
}

/// A name in a table: ours and what is no channel stand out.
pub(crate) fn named(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Ours => format!("**{name}**"),
        Kind::Rival => name.to_string(),
        Kind::Reference => format!("*{name}*"),
    }
}

fn best(lines: &[Line], kind: Kind) -> Option<&Line> {
    lines.iter().find(|line| line.kind == kind)
}

/// Three digits, or all that are before the point, in groups.
pub(crate) fn figure(value: f64) -> String {
    if value < 0.005 {
        return "0".to_string();
    }
    if value < 100.0 {
        let digits = if value >= 10.0 || value.fract() == 0.0 { 1 } else { 2 };
        let text = format!("{value:.digits$}");
        return text.strip_suffix(".0").map_or(text.clone(), str::to_string);
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The whole report.
pub(crate) fn markdown(measured: &[Measured<'_>], grown: &[Grown<'_>], how: &str) -> String {
    let mut text = format!("{}\n\n{how}\n\n", machine());
    text += "| work | handover | best rival | handover / rival |\n|---|---:|---:|---:|\n";
    for measured in measured {
        let lines = measured.lines();
        let (Some(ours), Some(rival)) = (best(&lines, Kind::Ours), best(&lines, Kind::Rival))
        else {
            continue;
        };
        let unit = measured.row.measures[0].1;
        let told = |line: &Line| {
            let name = line.name.strip_prefix("handover ").unwrap_or(line.name);
            format!("{name}: {} {unit}", figure(line.main()))
        };
        let ratio = ours.main() / rival.main();
        let ratio = if ratio.is_finite() { format!("{ratio:.2}") } else { "–".to_string() };
        let title = measured.row.title;
        _ = writeln!(text, "| {title} | {} | {} | {ratio} |", told(ours), told(rival));
    }
    for measured in measured {
        text += "\n";
        text += &measured.to_markdown();
    }
    for grown in grown {
        text += "\n";
        text += &grown.to_markdown();
    }
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
