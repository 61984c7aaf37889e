//! The SQL function behind the view of mixes.

use std::fmt::Write;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error};

use crate::store::rows::packed::{MixRow, unpack};

/// Adds `only_collector_sql_unpacks_mixes(columns)` to a connection: a JSON array of packed mixes, each an array of
/// time, nth and the other columns of `hot_mixes`.
pub fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("only_collector_sql_unpacks_mixes", 1, flags, |context| {
        let columns = context.get_raw(0).as_blob().map_err(Error::from)?;
        unpack::<MixRow>(columns).map(|rows| json(&rows)).ok_or_else(|| {
            let said =
                format!("packed mixes of {} bytes are damaged: run collector fsck", columns.len());
            Error::UserFunctionError(said.into())
        })
    })
}

fn json(rows: &[MixRow]) -> String {
    let mut json = String::from("[");
    let (mut nth, mut before) = (0, None);
    for MixRow { start_ns, interval_ns, figures } in rows {
        nth = if before == Some(*start_ns) { nth + 1 } else { 0 };
        if before.replace(*start_ns).is_some() {
            json.push(',');
        }
        // Writing to a text can't fail.
        let _written = write!(json, "[{start_ns},{nth},{interval_ns}");
        for figure in figures {
            let _written = write!(json, ",{figure}");
        }
        json.push(']');
    }
    json.push(']');
    json
}
