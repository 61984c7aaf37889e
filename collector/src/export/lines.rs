//! Writes lines of any kind.

use std::io::{self, Write};

use serde::Serialize;

/// Format of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated values (RFC 4180), after a line with their names
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// What was exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Number of lines.
    pub rows: u64,
    /// Rows of the store that can't be read, and are missing.
    pub unreadable: u64,
}

impl Exported {
    /// What is missing, if something is.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let lists = match self.unreadable {
            0 => return None,
            1 => "1 list of talkers is damaged and is".to_owned(),
            several => format!("{several} lists of talkers are damaged and are"),
        };
        Some(format!("{lists} missing here; `collector fsck` says which"))
    }
}

/// Writes lines in a format.
pub(super) enum Lines<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
}

impl<W: Write> Lines<W> {
    pub fn of(format: ExportFormat, out: W) -> Self {
        match format {
            ExportFormat::Csv => Self::Csv(Box::new(csv::Writer::from_writer(out))),
            ExportFormat::Jsonl => Self::Jsonl(out),
        }
    }

    pub fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        match self {
            Self::Csv(csv) => csv.serialize(line).map_err(|error| match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                other => io::Error::other(format!("{other:?}")),
            }),
            Self::Jsonl(out) => {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")
            }
        }
    }

    /// Ends with the column names, if there was no line.
    pub fn finish<const N: usize>(&mut self, rows: u64, columns: [&str; N]) -> io::Result<()> {
        if let Self::Csv(csv) = self
            && rows == 0
        {
            csv.write_record(columns).map_err(io::Error::other)?;
        }
        match self {
            Self::Csv(csv) => csv.flush(),
            Self::Jsonl(out) => out.flush(),
        }
    }
}
