//! Commits: rows, rollups, ledgers and cursors in one transaction, or nothing.

use std::sync::LazyLock;

use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
use rusqlite::{Connection, Statement, Transaction, TransactionBehavior, params};
use wire::codec::frame_bytes;
use wire::frame::Sample;

use super::error::Failure;
use super::int;
use super::session::{Room, client_id, nic_id};
use crate::store::columns::{
    self, COUNTS, KERNEL, LOSSES, PEAKS, count_figures, kernel_figures, loss_figures, mix_figures,
    peak_figures,
};
use crate::store::facts::{Cursor, Facts, GapRow, Ledger, NicIndex, untiled};
use crate::store::nics::{self, Excess};
use crate::store::rollups::{Rollup, Rollups};
use crate::store::{Batch, End, StoreError};

/// How often a client that commits is noted as seen, nanoseconds.
const SEEN_EVERY_NS: i64 = 10_000_000_000;

/// Numbers of a client and of one of its NICs, as rows refer to them.
type NicIds = [i64; 2];

/// Adds all of a batch in one transaction.
pub(super) fn add(
    db: &mut Connection,
    batch: &Batch,
    end: End,
    now_ns: u64,
) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut facts, now) = (Facts::of(batch), int(now_ns)?);
    let mut nics = resolve(&transaction, &facts)?;
    if nics.iter().any(Option::is_none) {
        let excess = facts.nics.iter().zip(&nics).filter(|(_, id)| id.is_none());
        let excess: Excess<'_> = excess.map(|(nic, _)| *nic).collect();
        nics::tell(&excess);
        facts = Facts::without(batch, excess);
        nics = resolve(&transaction, &facts)?;
    }
    let nics: Vec<NicIds> = nics.into_iter().flatten().collect();
    move_cursors(&transaction, batch, &facts.cursors, now)?;
    add_samples(&transaction, &facts, &nics)?;
    add_mixes(&transaction, &facts, &nics)?;
    add_gaps(&transaction, &facts.gaps, &nics, now)?;
    let Rollups { minutes, five_minutes } = Rollups::of(&facts.samples);
    roll_up(transaction.prepare_cached(&ROLL_UP_1M)?, &minutes, &nics)?;
    roll_up(transaction.prepare_cached(&ROLL_UP_5M)?, &five_minutes, &nics)?;
    settle(&transaction, &facts.ledgers, &nics)?;
    let mut quarantine =
        transaction.prepare_cached("INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (frame, refusal) in &facts.quarantine {
        let range = (frame.first_seq.cast_signed(), frame.last_seq.cast_signed());
        let session = frame.session.cast_signed();
        quarantine.execute(params![session, range.0, range.1, now, refusal, frame_bytes(frame)])?;
    }
    drop(quarantine);
    match end {
        End::Commit => transaction.commit()?,
        End::Rollback => transaction.rollback()?,
    }
    Ok(())
}

/// Moves every session on from where the batch expects it, or names those that are not there.
fn move_cursors(
    transaction: &Transaction<'_>,
    batch: &Batch,
    cursors: &[Cursor<'_>],
    now: i64,
) -> Result<(), Failure> {
    let mut conflicts = untiled(batch);
    let mut update = transaction.prepare_cached(
        "UPDATE sessions SET committed_seq = ?4, covered_seqs = covered_seqs + ?5,
             gap_seqs = gap_seqs + ?6, quarantine_seqs = quarantine_seqs + ?7, committed_at = ?8,
             committed_digest = ?10, digest_seq = ?4
         WHERE session = ?1 AND committed_seq = ?2 AND epoch = ?3
             AND client = (SELECT id FROM clients WHERE client_id = ?9)",
    )?;
    let mut seen = transaction.prepare_cached(
        "UPDATE clients SET last_seen_at = ?2
         WHERE client_id = ?1 AND last_seen_at NOT BETWEEN ?3 AND ?2",
    )?;
    for cursor in cursors {
        let session = cursor.session;
        let moved = update.execute(params![
            session.session.cast_signed(),
            session.expected.cast_signed(),
            session.epoch.cast_signed(),
            session.last_seq().cast_signed(),
            cursor.covered.cast_signed(),
            cursor.gaps.cast_signed(),
            cursor.quarantined.cast_signed(),
            now,
            session.client.as_str(),
            session.digest.cast_signed(),
        ])?;
        if moved == 0 && !conflicts.contains(&session.session) {
            conflicts.push(session.session);
        }
        seen.execute(params![session.client.as_str(), now, now - SEEN_EVERY_NS])?;
    }
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(StoreError::Conflict { sessions: conflicts }.into())
    }
}

/// The numbers of all NICs, `None` of those too many.
fn resolve(
    transaction: &Transaction<'_>,
    facts: &Facts<'_>,
) -> Result<Vec<Option<NicIds>>, Failure> {
    let mut room = Room::default();
    let number = |&(client, name)| {
        // A client that isn't there has no session either: the cursors tell.
        let Some(client) = client_id(transaction, client)? else { return Ok(Some([0, 0])) };
        Ok(nic_id(transaction, client, name, &mut room)?.map(|nic| [client, nic]))
    };
    facts.nics.iter().map(number).collect()
}

fn ids(nics: &[NicIds], nic: NicIndex) -> Result<NicIds, Failure> {
    nics.get(nic).copied().ok_or_else(|| Failure::Refused(format!("no NIC at place {nic}")))
}

/// Rows that one statement inserts.
const ROWS: usize = 16;

/// How to insert into a table of samples, whose key ends with `nth`.
struct Insert {
    /// [`ROWS`] rows, each the first to start at its time; stops before one that is not.
    many: String,
    /// A row that is the first to start at its time; fails if it is not.
    first: String,
    /// A row after others that start at the same time.
    next: String,
}

impl Insert {
    fn into(table: &str, figures: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = figures.collect();
        let figures = vec!["?"; names.len()].join(", ");
        let insert = format!(
            "INSERT OR FAIL INTO {table} (client, nic, time, nth, interval_ns, {}) VALUES",
            names.join(", ")
        );
        let first = format!("(?, ?, ?, 0, ?, {figures})");
        let places: Vec<String> = (5..5 + names.len()).map(|at| format!("?{at}")).collect();
        Self {
            many: format!("{insert} {}", vec![first.as_str(); ROWS].join(", ")),
            first: format!("{insert} {first}"),
            next: format!(
                "{insert} (?1, ?2, ?3, (SELECT max(nth) + 1 FROM {table} WHERE client = ?1
                     AND nic = ?2 AND time = ?3), ?4, {})",
                places.join(", ")
            ),
        }
    }

    /// Inserts rows given as the figures of their columns.
    fn all<R: IntoIterator<Item = i64> + Clone>(
        &self,
        transaction: &Transaction<'_>,
        rows: impl Iterator<Item = Result<R, Failure>>,
    ) -> Result<(), Failure> {
        let mut many = transaction.prepare_cached(&self.many)?;
        let mut first = transaction.prepare_cached(&self.first)?;
        let mut rows = rows.fuse();
        loop {
            let chunk: Vec<R> = rows.by_ref().take(ROWS).collect::<Result<_, _>>()?;
            let mut left = &chunk[..];
            if chunk.len() == ROWS {
                left = &left[inserted(&mut many, &chunk, transaction)?..];
            }
            for row in left {
                if inserted(&mut first, std::slice::from_ref(row), transaction)? == 0 {
                    execute(&mut *transaction.prepare_cached(&self.next)?, row.clone())?;
                }
            }
            if chunk.len() < ROWS {
                return Ok(());
            }
        }
    }
}

/// Inserts rows by one statement, up to one whose key is there already. Gives how many it inserted.
fn inserted<R: IntoIterator<Item = i64> + Clone>(
    statement: &mut Statement<'_>,
    rows: &[R],
    db: &Connection,
) -> Result<usize, Failure> {
    let exists = |error: &rusqlite::Error| {
        error.sqlite_error().is_some_and(|it| it.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY)
    };
    match statement.execute(rusqlite::params_from_iter(rows.iter().cloned().flatten())) {
        Ok(_) => Ok(rows.len()),
        Err(error) if exists(&error) => Ok(usize::try_from(db.changes()).unwrap_or(0)),
        Err(error) => Err(error.into()),
    }
}

static INSERT_SAMPLE: LazyLock<Insert> = LazyLock::new(|| {
    let columns = COUNTS.iter().chain(&PEAKS).chain(&["drops", "flags"]);
    Insert::into("bandwidth_stats", columns.map(|name| (*name).to_owned()))
});

static INSERT_MIX: LazyLock<Insert> =
    LazyLock::new(|| Insert::into("traffic_mix", columns::mix_columns()));

static ROLL_UP_1M: LazyLock<String> = LazyLock::new(|| roll_up_sql("bandwidth_1m"));
static ROLL_UP_5M: LazyLock<String> = LazyLock::new(|| roll_up_sql("bandwidth_5m"));

fn roll_up_sql(table: &str) -> String {
    let sums = ["samples", "covered_ns"].iter().chain(&COUNTS).chain(&LOSSES).chain(&KERNEL);
    let columns: Vec<&str> = sums.clone().chain(&PEAKS).copied().chain(["flags"]).collect();
    let places: Vec<String> = (4..4 + columns.len()).map(|at| format!("?{at}")).collect();
    let updates: Vec<String> = sums
        .map(|name| format!("{name} = {name} + excluded.{name}"))
        .chain(PEAKS.map(|name| format!("{name} = max({name}, excluded.{name})")))
        .collect();
    format!(
        "INSERT INTO {table} (client, nic, time, {}) VALUES (?1, ?2, ?3, {})
         ON CONFLICT (client, nic, time) DO UPDATE SET {}, flags = flags | excluded.flags",
        columns.join(", "),
        places.join(", "),
        updates.join(", ")
    )
}

/// Binds figures one after the other and runs the statement.
fn execute(
    statement: &mut Statement<'_>,
    figures: impl IntoIterator<Item = i64>,
) -> Result<(), Failure> {
    statement.execute(rusqlite::params_from_iter(figures))?;
    Ok(())
}

fn ints(figures: impl IntoIterator<Item = u64>) -> Result<Vec<i64>, Failure> {
    figures.into_iter().map(int).collect()
}

fn add_samples(
    transaction: &Transaction<'_>,
    facts: &Facts<'_>,
    nics: &[NicIds],
) -> Result<(), Failure> {
    let row = |(nic, sample): &(NicIndex, &Sample)| {
        let [client, nic] = ids(nics, *nic)?;
        let [rx_bytes, tx_bytes, rx_packets, tx_packets, rx_captured, tx_captured] =
            count_figures(sample);
        let [rx_1ms, tx_1ms, rx_10ms, tx_10ms] = peak_figures(sample).map(i64::from);
        Ok([
            client,
            nic,
            int(sample.start_ns)?,
            int(sample.interval_ns)?,
            int(rx_bytes)?,
            int(tx_bytes)?,
            int(rx_packets)?,
            int(tx_packets)?,
            int(rx_captured)?,
            int(tx_captured)?,
            rx_1ms,
            tx_1ms,
            rx_10ms,
            tx_10ms,
            int(sample.drops)?,
            sample.flags.into(),
        ])
    };
    INSERT_SAMPLE.all(transaction, facts.samples.iter().map(row))
}

fn add_mixes(
    transaction: &Transaction<'_>,
    facts: &Facts<'_>,
    nics: &[NicIds],
) -> Result<(), Failure> {
    let rows = facts.mixes.iter().map(|(nic, mix)| {
        let mut row = ids(nics, *nic)?.to_vec();
        row.extend([int(mix.start_ns)?, int(mix.interval_ns)?]);
        row.extend(ints(mix_figures(mix))?);
        Ok(row)
    });
    INSERT_MIX.all(transaction, rows)
}

fn add_gaps(
    transaction: &Transaction<'_>,
    gaps: &[GapRow<'_>],
    nics: &[NicIds],
    now: i64,
) -> Result<(), Failure> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO gaps SELECT ?1, ?2, ?3, ?4, client, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
             ?14, ?15, ?16, ?17, ?18, ?19, ?20 FROM sessions WHERE session = ?1",
    )?;
    for GapRow { frame, reason, sample } in gaps {
        let nic = sample.map(|(nic, _)| ids(nics, nic)).transpose()?.map(|[_, nic]| nic);
        let default = Sample::default();
        let figures = sample.map_or(&default, |(_, sample)| sample);
        let range = [frame.session, frame.first_seq, frame.last_seq].map(u64::cast_signed);
        let mut row = range.map(Some).to_vec();
        row.extend([Some((*reason).into()), nic]);
        row.push(nic.map(|_| int(figures.start_ns)).transpose()?);
        row.push(nic.map(|_| int(figures.interval_ns)).transpose()?);
        row.extend(ints(count_figures(figures))?.into_iter().map(Some));
        row.extend(peak_figures(figures).map(|peak| Some(peak.into())));
        row.extend([Some(int(figures.drops)?), Some(figures.flags.into()), Some(now)]);
        insert.execute(rusqlite::params_from_iter(row))?;
    }
    Ok(())
}

fn roll_up(
    mut upsert: rusqlite::CachedStatement<'_>,
    rollups: &[Rollup],
    nics: &[NicIds],
) -> Result<(), Failure> {
    for rollup in rollups {
        let sum = &rollup.sum;
        let mut row = ids(nics, rollup.nic)?.to_vec();
        row.extend(ints([rollup.time_ns, rollup.samples, rollup.covered_ns])?);
        row.extend(ints(count_figures(sum))?);
        row.extend(ints(loss_figures(sum))?);
        row.extend(ints(kernel_figures(sum.kernel))?);
        row.extend(peak_figures(sum).map(i64::from));
        row.push(sum.flags.into());
        execute(&mut upsert, row)?;
    }
    Ok(())
}

fn settle(
    transaction: &Transaction<'_>,
    ledgers: &[Ledger],
    nics: &[NicIds],
) -> Result<(), Failure> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO session_nics VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (session, nic) DO UPDATE SET
             last_rx_bytes = excluded.last_rx_bytes,
             last_tx_bytes = excluded.last_tx_bytes,
             last_rx_packets = excluded.last_rx_packets,
             last_tx_packets = excluded.last_tx_packets,
             counted_rx_bytes = counted_rx_bytes + excluded.counted_rx_bytes,
             counted_tx_bytes = counted_tx_bytes + excluded.counted_tx_bytes,
             counted_rx_packets = counted_rx_packets + excluded.counted_rx_packets,
             counted_tx_packets = counted_tx_packets + excluded.counted_tx_packets",
    )?;
    for ledger in ledgers {
        let [_, nic] = ids(nics, ledger.nic)?;
        let mut row = vec![ledger.session.cast_signed(), nic];
        for figures in [ledger.first, ledger.last, ledger.counted] {
            row.extend(ints(figures.to_array())?);
        }
        execute(&mut upsert, row)?;
    }
    Ok(())
}
