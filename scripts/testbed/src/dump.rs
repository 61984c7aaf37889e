//! Databases that earlier versions have left, as SQL: small, and readable in a change.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Set to write the dump of today's schema if there is none of it yet.
const BLESS: &str = "BLESS";

/// The dumps in a folder by name, among them today's, which is made by `make` under `BLESS=1`. One that is there
/// is never written again: released programs have left such databases.
///
/// # Panics
/// If they can't be read, or there is none.
pub fn dumps(folder: &Path, today: &str, make: impl FnOnce() -> String) -> Vec<(PathBuf, String)> {
    let file = folder.join(today);
    if std::env::var_os(BLESS).is_some() && !file.exists() {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&file, make()).unwrap();
    }
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let mut dumps: Vec<_> =
        files.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    assert!(!dumps.is_empty(), "no dump in {}; make one by {BLESS}=1", folder.display());
    dumps.sort();
    dumps
}

/// The statements that make a database like this one, with its rows.
///
/// # Panics
/// If it can't be read.
#[must_use]
pub fn dump(db: &Connection) -> String {
    let text = |sql: &str| -> Vec<String> {
        let mut select = db.prepare(sql).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let mut dump = String::from("BEGIN;\n");
    let made =
        "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    for sql in text(&format!("{made} AND type = 'table' ORDER BY rowid")) {
        let _always = writeln!(dump, "{sql}");
    }
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'
                  AND name NOT LIKE 'sqlite_stat%' ORDER BY rowid";
    for table in text(tables) {
        let columns =
            text(&format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')"));
        let row = columns.join(" || ', ' || ");
        for row in text(&format!("SELECT {row} FROM \"{table}\"")) {
            let _always = writeln!(dump, "INSERT INTO \"{table}\" VALUES ({row});");
        }
    }
    for sql in text(&format!("{made} AND type <> 'table' ORDER BY rowid")) {
        let _always = writeln!(dump, "{sql}");
    }
    for pragma in ["application_id", "user_version"] {
        let value: i64 = db.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
        let _always = writeln!(dump, "PRAGMA {pragma} = {value};");
    }
    dump + "COMMIT;\n"
}
