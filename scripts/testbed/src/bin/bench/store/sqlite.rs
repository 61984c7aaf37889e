//! SQLite: the rate beside a bare loop of a prepared INSERT.

use std::time::Instant;

use collector::store::sqlite::SqliteStore;
use collector::store::{Batch, Commit};
use rusqlite::{Connection, params_from_iter};
use wire::frame::Sample;

use super::agents::Agents;
use super::ways::{Options, Taken, Ways};
use crate::process::cpu_ns;

/// Prints the rate of commits, and of a loop that only inserts the same rows.
pub async fn rates(options: &Options) -> anyhow::Result<()> {
    let rows = Agents::rows(options.clients, options.minutes);
    let cpu = || cpu_ns(std::process::id());
    let mut ways = Ways::new(vec![
        "commits of 20,000 rows, with rollups, ledgers and cursors",
        "a bare loop of a prepared INSERT, rows alone",
    ]);
    for round in 1..=options.rounds {
        let directory = tempfile::tempdir()?;
        let (ours, bare) = (directory.path().join("ours"), directory.path().join("bare"));
        let store = SqliteStore::open(&ours)?;
        let agents = Agents::new(&store, options.clients, round.into(), false).await?;
        let batches = agents.batches(options.minutes).collect::<anyhow::Result<Vec<_>>>()?;
        // The same schema, settings and indexes.
        drop(SqliteStore::open(&bare)?);
        let (begun, used) = (Instant::now(), cpu());
        for batch in &batches {
            store.commit(batch).await?;
        }
        let committed = Taken::new(rows, begun.elapsed(), cpu().saturating_sub(used));
        let mut db = Connection::open(&bare)?;
        db.execute_batch("PRAGMA synchronous = FULL")?;
        let (begun, used) = (Instant::now(), cpu());
        for batch in &batches {
            insert(&mut db, batch)?;
        }
        ways.rounds
            .push(vec![committed, Taken::new(rows, begun.elapsed(), cpu().saturating_sub(used))]);
        for path in [&ours, &bare] {
            let db = Connection::open(path)?;
            let count = "SELECT count(*) FROM hot_samples";
            let count: i64 = db.query_row(count, [], |row| row.get(0))?;
            anyhow::ensure!(count.unsigned_abs() == rows);
        }
    }
    ways.print("SQLite", "CPU us/row");
    Ok(())
}

fn insert(db: &mut Connection, batch: &Batch) -> anyhow::Result<()> {
    let transaction = db.transaction()?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO hot_samples VALUES
             (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for (client, session) in (1..).zip(&batch.sessions) {
        for frame in &session.frames {
            for (nic, sample) in (1..).zip(&frame.samples) {
                insert.execute(params_from_iter(row(client, nic, sample)))?;
            }
        }
    }
    drop(insert);
    transaction.commit()?;
    Ok(())
}

fn row(client: u64, nic: u64, sample: &Sample) -> [i64; 16] {
    let Sample { rx, tx, .. } = sample;
    [
        client,
        2 * client + nic,
        sample.start_ns.get(),
        sample.interval_ns,
        rx.bytes.get(),
        tx.bytes.get(),
        rx.packets.get(),
        tx.packets.get(),
        rx.captured.get(),
        tx.captured.get(),
        rx.peak_1ms_bytes.into(),
        tx.peak_1ms_bytes.into(),
        rx.peak_10ms_bytes.into(),
        tx.peak_10ms_bytes.into(),
        sample.drops.get(),
        sample.flags.into(),
    ]
    .map(u64::cast_signed)
}
