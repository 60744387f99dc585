//! The charts: bars from left to right, as SVG that can be read on a light and on a dark page.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use crate::report::{Line, Measured, figure};
use crate::table::Kind;

struct Chart {
    file: &'static str,
    title: &'static str,
    rows: &'static [&'static str],
    /// Which measure of the rows.
    measure: usize,
    /// Whether bars of different rows may be compared.
    is_one_scale: bool,
}

const CHARTS: [Chart; 7] = [
    Chart {
        file: "lockstep.svg",
        title: "An item handed over, between threads",
        rows: &["threads", "thread-to-task", "task-to-thread", "one-core"],
        measure: 0,
        is_one_scale: true,
    },
    Chart {
        file: "tasks.svg",
        title: "An item handed over, between tasks",
        rows: &["joined", "current-thread", "multi-thread", "generator"],
        measure: 0,
        is_one_scale: true,
    },
    Chart {
        file: "many.svg",
        title: "An item handed over, many producers and many consumers",
        rows: &[
            "4-to-4",
            "4-to-1",
            "1-to-4",
            "4-to-4-one-core",
            "4-to-4-current-thread",
            "4-to-4-multi-thread",
        ],
        measure: 0,
        is_one_scale: true,
    },
    Chart {
        file: "select.svg",
        title: "An item handed over by select, between threads",
        rows: &["select-2", "select-8", "select-send-2", "select-send-8"],
        measure: 0,
        is_one_scale: true,
    },
    Chart {
        file: "batches.svg",
        title: "An item in batches, thread to thread",
        rows: &["batches"],
        measure: 0,
        is_one_scale: true,
    },
    Chart {
        file: "work-wall.svg",
        title: "Ping-pong with work at each turn: wall time of a round trip",
        rows: &["work-1us", "work-10us", "work-100us", "work-1ms"],
        measure: 0,
        is_one_scale: false,
    },
    Chart {
        file: "work-cpu.svg",
        title: "Ping-pong with work at each turn: CPU time of a round trip",
        rows: &["work-1us", "work-10us", "work-100us", "work-1ms"],
        measure: 1,
        is_one_scale: false,
    },
];

/// Draws each chart whose rows were all measured. Tells which.
pub(crate) fn draw(measured: &[Measured<'_>], into: &Path) -> io::Result<Vec<&'static str>> {
    let mut drawn = Vec::new();
    for chart in &CHARTS {
        let find = |id: &&str| measured.iter().find(|measured| measured.row.id == *id);
        let Some(rows) = chart.rows.iter().map(find).collect::<Option<Vec<_>>>() else { continue };
        fs::create_dir_all(into)?;
        fs::write(into.join(chart.file), chart.svg(&rows))?;
        drawn.push(chart.file);
    }
    Ok(drawn)
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 80.0;
const BAR: f64 = 18.0;
const HEADING: f64 = 32.0;
const TOP: f64 = 44.0;

pub(crate) const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#57606a}\
.h{font-weight:600}.n{text-anchor:end}.t{font-size:14px;font-weight:600}\
.rival{fill:#9aa4af}.handover{fill:#d9580d}.reference{fill:none;stroke:#9aa4af;stroke-dasharray:3 2}\
text.handover{fill:#b84a08;font-weight:600}\
@media(prefers-color-scheme:dark){text{fill:#a5afba}.rival{fill:#6b7682}.reference{stroke:#6b7682}\
.handover{fill:#f08a4b}text.handover{fill:#f5a26f}}";

struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) =
            values.fold((f64::MAX, 0.0), |(low, high), value| (value.min(low), value.max(high)));
        Self { low, high, is_log: high / low > 20.0 }
    }

    fn length(&self, value: f64) -> f64 {
        let room = WIDTH - LEFT - RIGHT;
        if self.is_log {
            // The least bar has a length, too.
            let low = self.low / 1.5;
            room * (value / low).ln() / (self.high / low).ln()
        } else {
            room * value / self.high
        }
    }
}

impl Chart {
    fn svg(&self, rows: &[&Measured<'_>]) -> String {
        let rows: Vec<_> = rows.iter().map(|measured| (measured, self.lines(measured))).collect();
        let all = Scale::of(rows.iter().flat_map(|(_, lines)| lines).map(|line| self.value(line)));
        let (unit, per) = rows.first().map_or(("", ""), |(measured, _)| {
            let is_trip = measured.row.title.contains("round trip");
            (
                measured.row.measures[self.measure].1,
                if is_trip { "a round trip" } else { "an item" },
            )
        });
        let axis = match (self.is_one_scale, all.is_log) {
            (false, _) => "each row to its own scale; ",
            (true, true) => "logarithmic scale; ",
            (true, false) => "",
        };

        let count: usize = rows.iter().map(|(_, lines)| lines.len()).sum();
        let height = TOP + HEADING * rows.len() as f64 + BAR * count as f64 + 8.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
             <title>{title}</title><style>{STYLE}</style>\n\
             <text class=\"t\" x=\"4\" y=\"18\">{title}</text>\n\
             <text x=\"4\" y=\"36\">{unit} {per}; {axis}less is better</text>\n",
            title = self.title,
        );
        let mut y = TOP;
        for (measured, lines) in &rows {
            let title = measured.row.title.split(';').next().unwrap_or_default();
            y += HEADING;
            _ = writeln!(
                svg,
                "<text class=\"h\" x=\"4\" y=\"{:.0}\">{}</text>",
                y - 10.0,
                plain(title)
            );
            let own = Scale::of(lines.iter().map(|line| self.value(line)));
            let scale = if self.is_one_scale { &all } else { &own };
            for line in lines {
                let (class, value) = (line.kind.name(), self.value(line));
                let end = LEFT + scale.length(value);
                _ = writeln!(
                    svg,
                    "<text class=\"n {class_of_text}\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\
                     <rect class=\"{class}\" x=\"{LEFT:.0}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\" rx=\"2\"/>\
                     <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                    LEFT - 8.0,
                    y + 11.0,
                    plain(line.name),
                    y + 1.0,
                    end - LEFT,
                    BAR - 4.0,
                    end + 6.0,
                    y + 11.0,
                    figure(value),
                    class_of_text = if line.kind == Kind::Ours { class } else { "" },
                );
                y += BAR;
            }
        }
        svg + "</svg>\n"
    }

    fn lines(&self, measured: &Measured<'_>) -> Vec<Line> {
        let mut lines = measured.lines();
        lines.sort_by(|a, b| self.value(a).total_cmp(&self.value(b)));
        lines
    }

    fn value(&self, line: &Line) -> f64 {
        line.figures[self.measure][1]
    }
}

/// Without the marks of code in Markdown, and safe in XML.
pub(crate) fn plain(text: &str) -> String {
    text.replace('`', "").replace('&', "&amp;").replace('<', "&lt;")
}
