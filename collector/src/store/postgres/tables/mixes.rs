//! `hot_mixes`: one row per mix, until it is packed.

use tokio_postgres::Client;
use wire::frame::Mix;

use super::nics::{NicIds, ids};
use crate::store::postgres::copy::copy;
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::int8;
use crate::store::rows::columns::{mix_columns, mix_figures};
use crate::store::rows::facts::NicIndex;

pub async fn add(
    client: &Client,
    mixes: &[(NicIndex, &Mix)],
    nics: &[NicIds],
) -> Result<(), Failure> {
    if mixes.is_empty() {
        return Ok(());
    }
    let figures: Vec<String> = mix_columns().collect();
    let width = i16::try_from(figures.len() + 4).unwrap_or(i16::MAX);
    let figures = figures.join(", ");
    let sql =
        format!("COPY hot_mixes (time, interval_ns, client, nic, {figures}) FROM STDIN BINARY");
    copy(client, &sql, width, mixes, |(nic, mix), row| {
        row.time(mix.start_ns);
        row.int8(int8(mix.interval_ns)?);
        let NicIds { client, nic } = ids(nics, *nic)?;
        row.int4(client);
        row.nic(nic)?;
        for figure in mix_figures(mix) {
            row.int8(int8(figure)?);
        }
        Ok(())
    })
    .await
}
