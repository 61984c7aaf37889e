//! `quarantine`: refused frames, unchanged.

use std::borrow::Cow;

use tokio_postgres::Client;
use wire::codec::frame_bytes;
use wire::frame::Frame;

use crate::store::postgres::copy::copy;
use crate::store::postgres::error::Failure;

pub async fn add(client: &Client, frames: &[(Cow<'_, Frame>, &str)]) -> Result<(), Failure> {
    if frames.is_empty() {
        return Ok(());
    }
    let sql = "COPY quarantine (session, first_seq, last_seq, reason, frame) FROM STDIN BINARY";
    copy(client, sql, 5, frames, |(frame, why), row| {
        row.int8(frame.session.to_column());
        row.int8(frame.first_seq.to_column());
        row.int8(frame.last_seq.to_column());
        row.bytes(why.as_bytes())?;
        row.bytes(&frame_bytes(frame))
    })
    .await
}
