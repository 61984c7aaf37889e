//! `sessions`: the progress of each session, and `clients`: when each was last seen.

use std::collections::HashSet;

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::id::SessionId;

use super::nics::Ids;
use crate::store::port::error::StoreError;
use crate::store::postgres::error::Failure;
use crate::store::postgres::figures::FigureRows;
use crate::store::rows::batch::Batch;
use crate::store::rows::facts::{Cursor, untiled};

/// Advances every session from its expected position, or names the sessions that are elsewhere.
pub async fn advance(
    client: &Client,
    batch: &Batch,
    cursors: &[Cursor<'_>],
    ids: &Ids,
) -> Result<(), Failure> {
    let row = |cursor: &Cursor<'_>| {
        let Cursor { session: it, covered, gaps, quarantined } = cursor;
        let [session, expected, epoch, last, covered, gaps, quarantined] = [
            it.session.to_column(),
            it.expected.to_column(),
            it.epoch.0.cast_signed(),
            it.last_seq().to_column(),
            covered.cast_signed(),
            gaps.cast_signed(),
            quarantined.cast_signed(),
        ];
        let digest = it.digest.cast_signed();
        // A missing client has no session either.
        let client = ids.sessions.get(&it.session).map_or(-1, |client| i64::from(*client));
        [session, expected, epoch, client, last, covered, gaps, quarantined, digest]
    };
    let names = [
        "session",
        "expected",
        "epoch",
        "client",
        "last",
        "covered",
        "gaps",
        "quarantined",
        "digest",
    ];
    let figures = FigureRows::new(names, cursors.iter().map(row).collect());
    let rows = client
        .query_typed(
            &format!(
                "UPDATE sessions SET committed_seq = batch.last,
                     covered_seqs = covered_seqs + batch.covered,
                     gap_seqs = gap_seqs + batch.gaps,
                     quarantine_seqs = quarantine_seqs + batch.quarantined, committed_at = now(),
                     committed_digest = batch.digest, digest_seq = batch.last
                 FROM ({}) AS batch
                 WHERE sessions.session = batch.session AND committed_seq = batch.expected
                     AND sessions.epoch = batch.epoch AND sessions.client = batch.client
                 RETURNING sessions.session",
                figures.select()
            ),
            &figures.params(),
        )
        .await?;
    let mut moved = HashSet::new();
    for row in rows {
        moved.insert(SessionId::of_column(row.try_get(0)?));
    }
    let mut conflicts = untiled(batch);
    for session in batch.sessions.iter().map(|session| session.session) {
        if !moved.contains(&session) && !conflicts.contains(&session) {
            conflicts.push(session);
        }
    }
    if !conflicts.is_empty() {
        return Err(StoreError::Conflict { sessions: conflicts }.into());
    }
    Ok(())
}

/// Records when clients were last seen.
pub async fn note_seen(client: &Client, ids: &Ids) -> Result<(), Failure> {
    let clients: Vec<i32> = ids.sessions.values().copied().collect();
    client
        .execute_typed(
            "UPDATE clients SET last_seen_at = now()
             WHERE id = ANY ($1)
                 AND last_seen_at NOT BETWEEN now() - interval '10 seconds' AND now()",
            &[(&clients, Type::INT4_ARRAY)],
        )
        .await?;
    Ok(())
}
