//! Rows as text: NDJSON and CSV.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::Deserialize;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated, as RFC 4180 tells, with a line of headings.
    Csv,
}

impl Format {
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    pub const fn extension(self) -> &'static str {
        match self {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        }
    }

    /// What comes before the rows.
    pub fn head(self, columns: &[String]) -> Vec<u8> {
        let mut line = Vec::new();
        if self == Format::Csv {
            for (n, column) in columns.iter().enumerate() {
                separate(&mut line, n, b',');
                push_field(&mut line, column);
            }
            line.extend_from_slice(b"\r\n");
        }
        line
    }

    /// One row.
    ///
    /// # Errors
    ///
    /// A text that is not UTF-8.
    pub fn row(self, columns: &[String], row: &Row<'_>) -> Result<Vec<u8>, String> {
        let mut line = Vec::with_capacity(128);
        match self {
            Format::Ndjson => {
                for (n, column) in columns.iter().enumerate() {
                    separate(&mut line, n, b',');
                    if n == 0 {
                        line.push(b'{');
                    }
                    push_json(&mut line, column);
                    line.push(b':');
                    match value(row, n, column)? {
                        ValueRef::Null => line.extend_from_slice(b"null"),
                        ValueRef::Integer(value) => {
                            line.extend_from_slice(value.to_string().as_bytes())
                        }
                        // JSON has no infinity.
                        ValueRef::Real(value) if !value.is_finite() => {
                            line.extend_from_slice(b"null")
                        }
                        ValueRef::Real(value) => push_json(&mut line, &value),
                        ValueRef::Text(text) => push_json(&mut line, text_of(text, column)?),
                        ValueRef::Blob(bytes) => push_json(&mut line, &hex(bytes)),
                    }
                }
                line.extend_from_slice(b"}\n");
            }
            Format::Csv => {
                for (n, column) in columns.iter().enumerate() {
                    separate(&mut line, n, b',');
                    match value(row, n, column)? {
                        ValueRef::Null => {}
                        ValueRef::Integer(value) => {
                            line.extend_from_slice(value.to_string().as_bytes())
                        }
                        ValueRef::Real(value) => {
                            line.extend_from_slice(value.to_string().as_bytes())
                        }
                        ValueRef::Text(text) => push_field(&mut line, text_of(text, column)?),
                        ValueRef::Blob(bytes) => push_field(&mut line, &hex(bytes)),
                    }
                }
                line.extend_from_slice(b"\r\n");
            }
        }
        Ok(line)
    }
}

fn value<'a>(row: &'a Row<'_>, n: usize, column: &str) -> Result<ValueRef<'a>, String> {
    row.get_ref(n).map_err(|error| format!("column {column}: {error}"))
}

fn text_of<'a>(text: &'a [u8], column: &str) -> Result<&'a str, String> {
    std::str::from_utf8(text).map_err(|error| format!("column {column} is not UTF-8: {error}"))
}

fn separate(line: &mut Vec<u8>, n: usize, separator: u8) {
    if n > 0 {
        line.push(separator);
    }
}

fn push_json<T: serde::Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(line, value).expect("a number or a text, into memory");
}

/// A field, in quotes where it needs them.
fn push_field(line: &mut Vec<u8>, text: &str) {
    if text.contains([',', '"', '\r', '\n']) {
        line.push(b'"');
        line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        line.push(b'"');
    } else {
        line.extend_from_slice(text.as_bytes());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::Format;
    use rusqlite::Connection;

    fn lines(format: Format, select: &str) -> Result<String, String> {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare(select).unwrap();
        let columns: Vec<String> =
            statement.column_names().into_iter().map(str::to_owned).collect();
        let mut text = format.head(&columns);
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            text.extend(format.row(&columns, row)?);
        }
        Ok(String::from_utf8(text).unwrap())
    }

    const VALUES: &str = "SELECT 1 AS n, -0.5 AS x, NULL AS missing, 'a \"b\", c' AS \"te,xt\", x'00ff' AS bytes, 'two\nlines' AS l";

    #[test]
    fn values_as_json() {
        let expected = r#"{"n":1,"x":-0.5,"missing":null,"te,xt":"a \"b\", c","bytes":"00ff","l":"two\nlines"}"#;
        assert_eq!(lines(Format::Ndjson, VALUES).unwrap(), format!("{expected}\n"));
        assert_eq!(lines(Format::Ndjson, "SELECT 9e999 AS x").unwrap(), "{\"x\":null}\n");
    }

    #[test]
    fn values_as_csv() {
        let expected =
            "n,x,missing,\"te,xt\",bytes,l\r\n1,-0.5,,\"a \"\"b\"\", c\",00ff,\"two\nlines\"\r\n";
        assert_eq!(lines(Format::Csv, VALUES).unwrap(), expected);
    }

    #[test]
    fn a_text_that_is_none_is_an_error() {
        let error = lines(Format::Csv, "SELECT CAST(x'ff' AS TEXT) AS t").unwrap_err();
        assert!(error.contains("column t is not UTF-8"), "{error}");
    }
}
