//! Which NICs had traffic with an address.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::rows::searched;
use crate::store::port::error::StoreError;
use crate::store::postgres::error::Failure;
use crate::store::postgres::session::time;
use crate::store::postgres::store::PostgresStore;
use crate::store::rows::nics::NicId;
use crate::store::rows::talker_search::{
    FoundParts, FoundTalkers, Needle, TalkerSearch, TalkersFound, searched_columns,
};

/// Client and name of each NIC.
type Names = HashMap<NicId, (String, String)>;

/// Reads both halves of the range at once, as a server takes a CPU for each connection, and more time than
/// this program for each row. One search at a time: others find connections too.
pub(super) async fn find(
    store: &PostgresStore,
    search: &TalkerSearch,
) -> Result<TalkersFound, StoreError> {
    let second = store.database.second.try_acquire();
    let halves = if second.is_ok() { search.halves() } else { vec![search.clone()] };
    let read = async |half: TalkerSearch| store.lease(async |db| part(db, &half).await).await;
    let mut parts = pin!(stream::iter(halves).map(read).buffer_unordered(2));
    let mut found = FoundTalkers::new(search);
    while let Some(part) = parts.try_next().await? {
        found.merge(part);
    }
    let nics = found.nics();
    let names = store.lease(async |db| names(db, &nics).await).await?;
    Ok(found.finish(&names))
}

async fn part(db: &Client, search: &TalkerSearch) -> Result<FoundParts<NicId>, Failure> {
    let Needle { bytes, columns } = search.needle();
    let (from, to) = (time(search.from_ns), time(search.to_ns));
    let mut params: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&from, Type::TIMESTAMPTZ), (&to, Type::TIMESTAMPTZ)];
    let mut having = String::new();
    if !bytes.is_empty() {
        let any: Vec<String> = columns.iter().map(|column| holds(column)).collect();
        having = format!(" AND ({})", any.join(" OR "));
        params.push((&bytes, Type::BYTEA));
    }
    let select = format!(
        "SELECT t.nic, {} FROM talkers t WHERE t.time >= $1 AND t.time < $2{having}",
        searched_columns()
    );
    let mut found = FoundTalkers::new(search);
    let mut rows = pin!(db.query_typed_raw(&select, params).await?);
    while let Some(row) = rows.try_next().await? {
        found.add(row.try_get(0)?, &searched(&row)?);
    }
    Ok(found.parts())
}

/// True for a row whose column may hold the bytes searched for.
fn holds(column: &str) -> String {
    let whole = format!("position($3 in t.{column}) > 0");
    if column != "long_addresses" {
        return whole;
    }
    let [start, middle, ending] = [0, 1, 2].map(|at| format!("get_byte(t.long_alike, {at})"));
    format!(
        "CASE WHEN t.long_alike IS NULL THEN {whole} WHEN length(t.long_alike) < 3 THEN true
         ELSE substr(t.long_alike, 4, least({start}, length($3))) = substr($3, 1, {start})
             AND position(substr($3, 1 + {start}, greatest(0, 16 - {start} - {middle} - {ending}))
                 in t.long_addresses) > 0
             AND position(substr($3, 17 - {ending}) in t.long_addresses) > 0 END"
    )
}

/// The names of NICs whose client isn't forgotten.
async fn names(db: &Client, nics: &[NicId]) -> Result<Names, Failure> {
    let select = "SELECT n.id, c.client_id, n.name FROM nics n JOIN clients c ON c.id = n.client
                  WHERE n.id = ANY ($1) AND c.forgotten_at IS NULL";
    let mut names = HashMap::new();
    for row in db.query_typed(select, &[(&nics, Type::INT4_ARRAY)]).await? {
        names.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    Ok(names)
}
