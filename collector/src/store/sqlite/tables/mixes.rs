//! `hot_mixes`: one row per mix, until it is packed.

use std::sync::LazyLock;

use rusqlite::Transaction;
use wire::frame::Mix;

use super::insert::Insert;
use super::nics::{NicIds, ids};
use crate::store::rows::columns::{mix_columns, mix_figures};
use crate::store::rows::facts::NicIndex;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::mixes::HOT;
use crate::store::sqlite::number::{int, ints};

static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::into(HOT, mix_columns()));

pub fn add(
    transaction: &Transaction<'_>,
    mixes: &[(NicIndex, &Mix)],
    nics: &[NicIds],
) -> Result<(), Failure> {
    let rows = mixes.iter().map(|(nic, mix)| {
        let NicIds { client, nic } = ids(nics, *nic)?;
        let mut row = vec![client, nic.get(), mix.start_ns.to_column(), int(mix.interval_ns)?];
        row.extend(ints(mix_figures(mix))?);
        Ok(row)
    });
    INSERT.all(transaction, rows)
}
