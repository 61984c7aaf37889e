//! `quarantine`: refused frames, unchanged.

use std::borrow::Cow;

use rusqlite::{Transaction, params};
use wire::codec::frame_bytes;
use wire::frame::Frame;

use crate::store::sqlite::error::Failure;

pub fn add(
    transaction: &Transaction<'_>,
    frames: &[(Cow<'_, Frame>, &str)],
    now: i64,
) -> Result<(), Failure> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (frame, why) in frames {
        let [session, first, last] =
            [frame.session.to_column(), frame.first_seq.to_column(), frame.last_seq.to_column()];
        insert.execute(params![session, first, last, now, why, frame_bytes(frame)])?;
    }
    Ok(())
}
