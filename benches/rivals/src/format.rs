//! How figures and names look in tables and charts.

use crate::results::{Kind, Spread};

/// A name in a table: handover in bold, a reference in italics.
pub(crate) fn emphasised(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Ours => format!("**{name}**"),
        Kind::Rival => name.to_string(),
        Kind::Reference => format!("*{name}*"),
    }
}

/// Three digits, or all digits before the point in groups of three.
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

/// The median; the range stands behind it if the figure varies more than twofold.
pub(crate) fn figure_with_spread(spread: Spread) -> String {
    let Spread { low, median, high } = spread;
    if spread.is_wide() {
        format!("{} ({} – {})", figure(median), figure(low), figure(high))
    } else {
        figure(median)
    }
}
