//! Writes the tables and the charts of one run into the documents of the crate.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::charts;
use crate::report;
use crate::results::Results;

/// The rows that the README shows.
const README_ROWS: [&str; 10] = [
    "threads",
    "thread-to-task",
    "joined",
    "multi-thread",
    "4-to-4",
    "4-to-4-multi-thread",
    "select-8",
    "generator",
    "batches",
    "memory",
];

/// Writes the blocks of `README.md` and `docs/benchmarks.md` and the charts in `docs`, below `root`. A block whose part of the
/// results is empty stays as it is.
pub(crate) fn write(results: &Results, root: &Path) -> Result<(), Box<dyn Error>> {
    let readme = |id: &str| README_ROWS.contains(&id);
    let rows = report::summary(results, |row| readme(&row.id));
    write_blocks(&root.join("README.md"), &[("speed", rows)])?;
    let blocks = [
        ("run", report::run(results)),
        ("summary", report::summary(results, |_| true)),
        ("promise", report::promises(results)),
        ("profiles", report::other_profile(results)),
        ("rows", report::rows(&results.rows)),
        ("growth", report::growth(results)),
    ];
    write_blocks(&root.join("docs/benchmarks.md"), &blocks)?;
    for chart in charts::draw(results, &root.join("docs"))? {
        eprintln!("drawn: docs/{chart}");
    }
    Ok(())
}

fn write_blocks(file: &Path, blocks: &[(&str, String)]) -> Result<(), Box<dyn Error>> {
    let name = file.display();
    let mut text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    for (block, content) in blocks.iter().filter(|(_, content)| !content.is_empty()) {
        text = replaced(&text, block, content)
            .ok_or_else(|| format!("{name}: no block 'begin: {block}' with an end"))?;
    }
    fs::write(file, text).map_err(|error| format!("{name}: {error}"))?;
    eprintln!("written: {name}");
    Ok(())
}

/// The text with another content between the two marks of a block.
fn replaced(text: &str, block: &str, content: &str) -> Option<String> {
    let begin = format!("<!-- begin: {block} -->\n");
    let end = format!("<!-- end: {block} -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{content}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[test]
    fn only_the_block_is_replaced() {
        let text = "a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n";
        let new = "a\n<!-- begin: x -->\n\nnew\n\n<!-- end: x -->\nb\n";
        assert_eq!(replaced(text, "x", "new").as_deref(), Some(new));
        assert_eq!(replaced(new, "x", "new").as_deref(), Some(new));
        assert_eq!(replaced(text, "y", "new"), None);
    }

    #[test]
    fn the_rows_of_the_readme_exist() {
        let table = Table::new();
        for id in README_ROWS {
            assert!(table.rows.iter().any(|row| row.id == id), "{id}");
        }
    }
}
