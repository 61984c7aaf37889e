//! Which NICs had traffic with an address.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::rows::searched;
use crate::store::port::error::StoreError;
use crate::store::rows::nics::NicId;
use crate::store::rows::talker_search::{
    FoundParts, FoundTalkers, Needle, TalkerSearch, TalkersFound, searched_columns,
};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::lease::Readers;

/// Pieces of the range that are read at a time: each takes a CPU, and the other connections answer other
/// questions meanwhile.
const AT_ONCE: usize = 2;

/// Client and name of each NIC.
type Names = HashMap<NicId, (String, String)>;

pub(super) async fn find(
    readers: &Readers,
    search: &TalkerSearch,
) -> Result<TalkersFound, StoreError> {
    let read = |piece: TalkerSearch| readers.lease(move |db| piece_of(db, &piece));
    let mut pieces = pin!(stream::iter(search.pieces()).map(read).buffer_unordered(AT_ONCE));
    let mut found = FoundTalkers::new(search);
    while let Some(parts) = pieces.try_next().await? {
        found.merge(parts);
    }
    let nics = found.nics();
    let names = readers.lease(move |db| names(db, &nics)).await?;
    Ok(found.finish(&names))
}

fn piece_of(db: &mut Connection, piece: &TalkerSearch) -> Result<FoundParts<NicId>, Failure> {
    let Needle { bytes, columns: places } = piece.needle();
    let any: Vec<String> = places.iter().map(|column| holds(column)).collect();
    let having = if bytes.is_empty() { "?3 = x''" } else { &any.join(" OR ") };
    let mut select = db.prepare_cached(&format!(
        "SELECT t.nic, {} FROM talkers t WHERE t.time >= ?1 AND t.time < ?2 AND ({having})",
        searched_columns()
    ))?;
    let times = [piece.from_ns, piece.to_ns].map(|it| Value::from(it.to_column()));
    let mut rows = select.query(params_from_iter(times.into_iter().chain([Value::Blob(bytes)])))?;
    let mut found = FoundTalkers::new(piece);
    while let Some(row) = rows.next()? {
        found.add(row.get(0)?, &searched(row)?);
    }
    Ok(found.parts())
}

/// True for a row whose column may hold the bytes searched for.
fn holds(column: &str) -> String {
    let whole = format!("instr(t.{column}, ?3) > 0");
    if column != "long_addresses" {
        return whole;
    }
    let digit = |at| format!("(instr('0123456789ABCDEF', substr(hex(t.long_alike), {at}, 1)) - 1)");
    let [start, middle, ending] = [2, 4, 6].map(digit);
    format!(
        "CASE WHEN t.long_alike IS NULL THEN {whole}
         ELSE substr(t.long_alike, 4, min({start}, length(?3))) = substr(?3, 1, {start})
             AND instr(t.long_addresses, substr(?3, 1 + {start}, max(0, 16 - {start} - {middle} - {ending}))) > 0
             AND instr(t.long_addresses, substr(?3, 17 - {ending})) > 0 END"
    )
}

/// The names of NICs whose client isn't forgotten.
fn names(db: &mut Connection, nics: &[NicId]) -> Result<Names, Failure> {
    let mut select = db.prepare_cached(
        "SELECT c.client_id, n.name FROM nics n JOIN clients c ON c.id = n.client
         WHERE n.id = ?1 AND c.forgotten_at IS NULL",
    )?;
    let mut names = HashMap::new();
    for nic in nics {
        let mut rows = select.query([nic])?;
        if let Some(row) = rows.next()? {
            names.insert(*nic, (row.get(0)?, row.get(1)?));
        }
    }
    Ok(names)
}
