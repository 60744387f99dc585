//! The charts of growth: a line for each program, both scales logarithmic. A line that does not rise is what one hopes for.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use crate::chart::{STYLE, plain};
use crate::growth::{Grown, Line};
use crate::report::figure;
use crate::table::Kind;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
/// Room for the names, which stand where the lines end.
const RIGHT: f64 = 210.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 44.0;
/// From one name to the next.
const NAME: f64 = 15.0;

const LINES: &str = "\
polyline{fill:none;stroke:#9aa4af;stroke-width:1.5}polyline.rival{fill:none}circle{fill:#9aa4af}\
polyline.handover{fill:none;stroke:#d9580d;stroke-width:2.5}circle.reference{fill:#9aa4af;stroke:none}\
line{stroke:#8884}.m{text-anchor:middle}\
@media(prefers-color-scheme:dark){polyline{stroke:#6b7682}circle,circle.reference{fill:#6b7682}\
polyline.handover{stroke:#f08a4b}}";

/// Draws each. Tells which.
pub(crate) fn draw(grown: &[Grown<'_>], into: &Path) -> io::Result<Vec<String>> {
    let mut drawn = Vec::new();
    for grown in grown {
        let file = format!("{}.svg", grown.growth.id);
        fs::create_dir_all(into)?;
        fs::write(into.join(&file), svg(grown))?;
        drawn.push(file);
    }
    Ok(drawn)
}

/// From a value to a place, by the logarithm.
struct Scale {
    values: [f64; 2],
    places: [f64; 2],
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        let [low, high] = self.values;
        let share = (value / low).ln() / (high / low).ln();
        self.places[0] + share * (self.places[1] - self.places[0])
    }

    /// 1, 2 and 5, and what is ten times that, in the range; fewer where that were many.
    fn marks(&self) -> Vec<f64> {
        let [low, high] = self.values;
        let steps: &[f64] = if high / low > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let tens = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
        let marks = tens.flat_map(|ten| steps.iter().map(move |step| step * 10_f64.powi(ten)));
        marks.filter(|&mark| low <= mark && mark <= high).collect()
    }
}

fn svg(grown: &Grown<'_>) -> String {
    let growth = grown.growth;
    let values = || grown.lines.iter().flat_map(Line::medians);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let (first, last) = (growth.numbers[0] as f64, growth.numbers[growth.numbers.len() - 1] as f64);
    let x = Scale { values: [first, last], places: [LEFT, WIDTH - RIGHT] };
    let y = Scale { values: [least / 1.6, most * 1.6], places: [HEIGHT - BOTTOM, TOP] };

    let title = plain(growth.title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}{LINES}</style>\n\
         <text class=\"t\" x=\"4\" y=\"18\">{title}</text>\n\
         <text x=\"4\" y=\"36\">{} each, by the number of {}; logarithmic scales; less is better, level is good</text>\n",
        growth.unit, growth.what,
    );
    for mark in y.marks() {
        let at = y.place(mark);
        _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"n\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            figure(mark),
        );
    }
    for &number in growth.numbers {
        let at = x.place(number as f64);
        _ = writeln!(
            svg,
            "<text class=\"m\" x=\"{at:.1}\" y=\"{:.0}\">{}</text>",
            HEIGHT - BOTTOM + 18.0,
            figure(number as f64)
        );
    }
    // Ours last: above the others.
    let mut lines: Vec<_> = grown.lines.iter().collect();
    lines.sort_by_key(|line| line.kind == Kind::Ours);
    for line in &lines {
        let class = line.kind.name();
        let numbers = growth.numbers.iter().map(|&number| number as f64);
        let points: Vec<_> = numbers
            .zip(line.medians())
            .map(|(number, value)| (x.place(number), y.place(value)))
            .collect();
        let text: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", text.join(" "));
        for (x, y) in points {
            _ = writeln!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
    }
    for (line, at) in names(&lines, &y) {
        let class = if line.kind == Kind::Ours { line.kind.name() } else { "" };
        let value = line.medians().last().unwrap_or_default();
        _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{:.0}\" y=\"{:.1}\">{} {}</text>",
            WIDTH - RIGHT + 10.0,
            at + 4.0,
            plain(line.name),
            figure(value),
        );
    }
    svg + "</svg>\n"
}

/// Where the names stand: beside the ends of the lines, but not one over the other.
fn names<'a>(lines: &[&'a Line], scale: &Scale) -> Vec<(&'a Line, f64)> {
    let end = |line: &&Line| scale.place(line.medians().last().unwrap_or_default());
    let mut places: Vec<_> = lines.iter().map(|line| (*line, end(line))).collect();
    places.sort_by(|a, b| a.1.total_cmp(&b.1));
    for at in 1..places.len() {
        places[at].1 = places[at].1.max(places[at - 1].1 + NAME);
    }
    // Not below the chart: from the last one upwards again.
    let mut lowest = HEIGHT - BOTTOM;
    for place in places.iter_mut().rev() {
        place.1 = place.1.min(lowest);
        lowest = place.1 - NAME;
    }
    places
}
