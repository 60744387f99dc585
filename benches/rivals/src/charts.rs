//! The charts, drawn by plotters as SVG. Their colours are legible on a light and on a dark page.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::format::figure;
use crate::results::{GrowthResult, Kind, Results, RowResult, median};

struct BarChart {
    file: &'static str,
    title: &'static str,
    rows: &'static [&'static str],
    /// Which measure of the rows.
    measure: usize,
}

const BAR_CHARTS: [BarChart; 3] = [
    BarChart {
        file: "speed.svg",
        title: "An item handed over",
        rows: &["threads", "joined", "multi-thread"],
        measure: 0,
    },
    BarChart {
        file: "many.svg",
        title: "An item handed over, many producers and many consumers",
        rows: &["4-to-4", "4-to-1", "1-to-4", "4-to-4-current-thread", "4-to-4-multi-thread"],
        measure: 0,
    },
    BarChart {
        file: "work-cpu.svg",
        title: "Ping-pong with work at each turn: CPU time of a round trip",
        rows: &["work-1us", "work-100us"],
        measure: 1,
    },
];

/// The growth that is drawn, each in a file of its own.
const LINE_CHARTS: [&str; 2] = ["many-tasks", "many-threads"];

const TEXT: RGBColor = RGBColor(0x73, 0x7C, 0x86);
const OURS: RGBColor = RGBColor(0xE0, 0x66, 0x2A);
const RIVAL: RGBColor = RGBColor(0x8B, 0x94, 0x9E);
const RIVALS: [RGBColor; 5] = [
    RGBColor(0x4A, 0x90, 0xD9),
    RGBColor(0x3F, 0xA4, 0x5B),
    RGBColor(0x9A, 0x6F, 0xD0),
    RGBColor(0xB5, 0x85, 0x10),
    RGBColor(0x2A, 0xA1, 0xA1),
];

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

const WIDTH: u32 = 760;
const TOP: u32 = 46;
const BAR: u32 = 18;
const HEADING: u32 = 30;
/// Room for the names of the programs.
const NAMES: u32 = 190;
/// Room for the figure behind the longest bar.
const FIGURES: u32 = 70;

/// Draws each chart whose rows are all there. Returns the names of the files.
pub(crate) fn draw(results: &Results, into: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut drawn = Vec::new();
    for chart in &BAR_CHARTS {
        let find = |id: &&str| results.rows.iter().find(|row| row.id == *id);
        let Some(rows) = chart.rows.iter().map(find).collect::<Option<Vec<_>>>() else { continue };
        bars(chart, &rows, &into.join(chart.file))?;
        drawn.push(chart.file.to_string());
    }
    for growth in results.growth.iter().filter(|growth| LINE_CHARTS.contains(&&*growth.id)) {
        let file = format!("{}.svg", growth.id);
        lines(growth, &into.join(&file))?;
        drawn.push(file);
    }
    Ok(drawn)
}

/// Text of so many units; plotters writes it as a font of 1 / 1.24 as many pixels.
fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT)
}

fn heading(size: u32) -> TextStyle<'static> {
    ("sans-serif", size, FontStyle::Bold).into_font().color(&TEXT)
}

/// Bars from left to right, one panel for each row, all to one logarithmic scale.
fn bars(chart: &BarChart, rows: &[&RowResult], file: &Path) -> Drawn {
    let programs: Vec<_> = rows.iter().map(|row| figures(row, chart.measure)).collect();
    let values = || programs.iter().flatten().map(|&(.., value)| value);
    // The shortest bar shall have a length, too.
    let low = values().fold(f64::MAX, f64::min) / 1.5;
    let high = values().fold(0.0, f64::max);

    let panels: Vec<_> =
        programs.iter().map(|programs| HEADING + BAR * programs.len() as u32).collect();
    let height = TOP + panels.iter().sum::<u32>() + 8;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.draw(&Text::new(chart.title, (4, 6), heading(19)))?;
    let unit = &rows[0].measures[chart.measure].unit;
    let subtitle = format!("{unit}; logarithmic scale; less is better; orange: handover");
    root.draw(&Text::new(subtitle, (4, 27), text(16)))?;

    let mut rest = root.split_vertically(TOP).1;
    for ((row, programs), height) in rows.iter().zip(programs).zip(panels) {
        let (panel, below) = rest.split_vertically(height);
        rest = below;
        let title = row.title.split(';').next().unwrap_or_default().replace('`', "");
        panel.draw(&Text::new(title, (4, 10), heading(16)))?;
        bar_panel(&panel, &programs, low..high)?;
    }
    root.present()?;
    Ok(())
}

/// Name, kind and figure of each program, the lowest figure first.
fn figures(row: &RowResult, measure: usize) -> Vec<(&str, Kind, f64)> {
    let mut programs: Vec<_> = row
        .programs
        .iter()
        .map(|program| (&*program.name, program.kind, median(&program.samples[measure])))
        .collect();
    programs.sort_by(|a, b| a.2.total_cmp(&b.2));
    programs
}

fn bar_panel(
    panel: &Area<'_>,
    programs: &[(&str, Kind, f64)],
    range: std::ops::Range<f64>,
) -> Drawn {
    let low = range.start;
    let mut chart = ChartBuilder::on(panel)
        .margin_top(HEADING)
        .margin_left(NAMES)
        .margin_right(FIGURES)
        .build_cartesian_2d(range.log_scale(), programs.len() as f64..0.0)?;
    let right = text(16).pos(Pos::new(HPos::Right, VPos::Center));
    let left = text(16).pos(Pos::new(HPos::Left, VPos::Center));
    for (at, &(name, kind, value)) in programs.iter().enumerate() {
        let (top, middle, bottom) = (at as f64 + 0.1, at as f64 + 0.5, at as f64 + 0.9);
        let style = match kind {
            Kind::Ours => OURS.filled(),
            Kind::Rival => RIVAL.filled(),
            Kind::Reference => RIVAL.stroke_width(1),
        };
        let bar = Rectangle::new([(low, top), (value, bottom)], style);
        chart.draw_series([bar])?;
        let name =
            EmptyElement::at((low, middle)) + Text::new(name.to_string(), (-8, 0), right.clone());
        chart.draw_series([name])?;
        let value =
            EmptyElement::at((value, middle)) + Text::new(figure(value), (6, 0), left.clone());
        chart.draw_series([value])?;
    }
    Ok(())
}

/// A line for each program, both scales logarithmic. A level line is what one hopes for.
fn lines(growth: &GrowthResult, file: &Path) -> Drawn {
    let values = || growth.lines.iter().flat_map(|line| line.medians());
    let low = values().fold(f64::MAX, f64::min) / 1.6;
    let high = values().fold(0.0, f64::max) * 1.6;
    let numbers: Vec<_> = growth.numbers.iter().map(|&number| number as f64).collect();
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);

    let root = SVGBackend::new(file, (WIDTH, 360)).into_drawing_area();
    root.draw(&Text::new(growth.title.replace('`', ""), (4, 6), heading(19)))?;
    let subtitle = format!(
        "{} by the number of {}; logarithmic scales; less is better, level is good",
        growth.unit, growth.counted
    );
    root.draw(&Text::new(subtitle, (4, 27), text(16)))?;
    let (plot, legend) = root.split_vertically(TOP).1.split_horizontally(WIDTH - 200);

    let mut chart = ChartBuilder::on(&plot)
        .margin(10)
        .x_label_area_size(26)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (first..last).log_scale().with_key_points(numbers.clone()),
            (low..high).log_scale().with_key_points(marks(low, high)),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(TEXT.mix(0.3))
        .axis_style(TEXT)
        .label_style(text(16))
        .x_label_formatter(&|number| figure(*number))
        .y_label_formatter(&|value| figure(*value))
        .draw()?;
    let mut rivals = RIVALS.iter().cycle();
    for (at, line) in growth.lines.iter().enumerate() {
        let (colour, width) = match line.kind {
            Kind::Ours => (&OURS, 3),
            Kind::Rival => (rivals.next().unwrap_or(&RIVAL), 2),
            Kind::Reference => (&RIVAL, 1),
        };
        let style = colour.stroke_width(width);
        let points: Vec<_> = numbers.iter().copied().zip(line.medians()).collect();
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        chart
            .draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
        let y = 24 + 22 * at as i32;
        legend.draw(&PathElement::new([(8, y), (30, y)], style))?;
        let left = text(16).pos(Pos::new(HPos::Left, VPos::Center));
        legend.draw(&Text::new(line.name.clone(), (38, y), left))?;
    }
    root.present()?;
    Ok(())
}

/// 1, 2 and 5 and their multiples by powers of ten in the range; only the powers of ten where there would be too many.
fn marks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high / low > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let marks = powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    marks.filter(|&mark| low <= mark && mark <= high).collect()
}
