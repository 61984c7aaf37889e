//! Deletes frames from quarantine by age.

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::WallNs;

use super::error::Failure;
use super::session::time;

/// Most frames deleted per step: each may have a MiB.
const STEP_FRAMES: i64 = 200;

/// Deletes frames received before `before_ns`; returns their number.
pub(super) async fn delete(client: &Client, before_ns: WallNs) -> Result<u64, Failure> {
    let sql = format!(
        "WITH gone AS (DELETE FROM quarantine WHERE (session, first_seq) IN (
                 SELECT session, first_seq FROM quarantine WHERE received_at < $1 AND session = (
                     SELECT session FROM quarantine WHERE received_at < $1 LIMIT 1)
                 LIMIT {STEP_FRAMES})
             RETURNING session, first_seq, last_seq),
         sums AS (SELECT session, sum(last_seq - first_seq + 1) AS seqs FROM gone GROUP BY session),
         kept AS (UPDATE sessions
             SET expired_quarantine_seqs = expired_quarantine_seqs + sums.seqs FROM sums
             WHERE sessions.session = sums.session)
         SELECT count(*) FROM gone"
    );
    let before = time(before_ns);
    let mut frames = 0;
    loop {
        let deleted = client.query_typed_one(&sql, &[(&before, Type::TIMESTAMPTZ)]).await?;
        match deleted.try_get::<_, i64>(0)? {
            0 => return Ok(frames),
            deleted => frames += deleted.unsigned_abs(),
        }
    }
}
