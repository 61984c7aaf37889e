//! `collector sql`: asks the embedded store in SQL and writes CSV. Other SQLite programs lack the functions that
//! unpack samples.

use std::io;
use std::path::Path;

use rusqlite::types::Value;
use settings::Output;
use wire::advice::Advised;

use crate::spreadsheet::guarded;
use crate::store::sqlite::{OpenError, SqlError, SqlFile};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite can't answer.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The answer can't be written.
    #[error("standard output")]
    Io(#[source] Advised),
    /// The store is PostgreSQL, which has its own tools.
    #[error("the store is {0}: ask it with psql")]
    Server(String),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        Self::Io(Advised::new(error, "free space where the answer is written"))
    }
}

/// Asks the store at `path`.
///
/// # Errors
/// [`AskError`] says why there is no answer, or only a part of it.
pub fn ask(path: &Path, sql: &str, out: &mut Output) -> Result<(), AskError> {
    let file = SqlFile::open(path)?;
    let mut csv = csv::Writer::from_writer(out);
    file.ask::<AskError>(sql, |cells| {
        Ok(csv.write_record(cells.into_iter().map(cell)).map_err(io::Error::other)?)
    })?;
    csv.flush()?;
    Ok(())
}

/// A value as text: NULL is empty, bytes are hexadecimal.
fn cell(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => guarded(&text),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_numbers_and_formulas_become_texts() {
        let cells = [
            (Value::Null, ""),
            (Value::Integer(-5), "-5"),
            (Value::Real(0.5), "0.5"),
            (Value::Text("=1+1".into()), "'=1+1"),
            (Value::Blob(vec![0, 255]), "00ff"),
        ];
        for (value, text) in cells {
            assert_eq!(cell(value), text);
        }
    }
}
