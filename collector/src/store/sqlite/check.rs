//! Reads the evidence for the proof of `fsck`.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, Row, Transaction, params};
use wire::id::SessionId;

use super::account_cycles;
use super::error::Failure;
use super::lease::Reads;
use super::points::RowKey;
use super::samples::SampleReader;
use super::wide::wide;
use super::{client_days, mixes, tags, talkers};
use crate::store::port::check::Check;
use crate::store::port::error::StoreError;
use crate::store::rows::proof::{
    CheckReport, Evidence, LedgerEvidence, NicEvidence, SessionEvidence, Sums, judge,
};

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Check for T {
    async fn check(&self) -> Result<CheckReport, StoreError> {
        self.readers().lease(check).await
    }
}

fn check(db: &mut Connection) -> Result<CheckReport, Failure> {
    // One snapshot for everything.
    let transaction = db.transaction()?;
    let damage: Vec<String> = transaction
        .prepare("PRAGMA quick_check(10)")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let (nics, faults) = nics(&transaction)?;
    let evidence = Evidence {
        sessions: all(&transaction, SESSIONS, session)?,
        ledgers: all(&transaction, LEDGERS, ledger)?,
        nics,
        tags: all(&transaction, TAGS, |row| Ok((row.get(5)?, tags::interval(row)?)))?,
        talkers: talkers::proof(&transaction)?,
        days: client_days::proof(&transaction)?,
    };
    let mut report = judge(&evidence).report;
    report.findings.extend(account_cycles::faults(&transaction)?);
    report.findings.extend(faults);
    report.findings.extend(mixes::faults(&transaction)?);
    let damage = damage.into_iter().filter(|line| line != "ok");
    report.findings.extend(damage.map(|line| format!("the file is damaged: {line}")));
    Ok(report)
}

fn all<T>(
    db: &Transaction<'_>,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Failure> {
    Ok(db.prepare(sql)?.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

const SESSIONS: &str = "
    SELECT session, client_id, committed_seq, covered_seqs, gap_seqs,
        (SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM
             (SELECT DISTINCT first_seq, last_seq FROM gaps
              WHERE gaps.session = sessions.session)),
        quarantine_seqs,
        expired_quarantine_seqs + (SELECT coalesce(sum(last_seq - first_seq + 1), 0)
         FROM quarantine WHERE quarantine.session = sessions.session)
    FROM sessions JOIN clients ON clients.id = client ORDER BY client_id, started";

fn session(row: &Row<'_>) -> rusqlite::Result<SessionEvidence> {
    let number = |at| row.get::<_, i64>(at).map(i128::from);
    Ok(SessionEvidence {
        session: SessionId::of_column(row.get(0)?),
        client: row.get(1)?,
        committed: number(2)?,
        covered: number(3)?,
        gaps: number(4)?,
        gap_rows: number(5)?,
        quarantined: number(6)?,
        quarantine_rows: number(7)?,
    })
}

const TAGS: &str = "
    SELECT key, value, source, valid_from, valid_to, client_id
    FROM tag_intervals JOIN clients ON clients.id = client";

const LEDGERS: &str = "
    SELECT session, nic, first_rx_bytes, first_tx_bytes, first_rx_packets, first_tx_packets,
        last_rx_bytes, last_tx_bytes, last_rx_packets, last_tx_packets,
        counted_rx_bytes, counted_tx_bytes, counted_rx_packets, counted_tx_packets,
        (SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM
             (SELECT first_seq, last_seq FROM gaps
              WHERE gaps.session = session_nics.session AND reason IN (2, 3)
              GROUP BY first_seq, last_seq
              HAVING count(CASE WHEN gaps.nic = session_nics.nic THEN 1 END) = 0) AS ranges)
    FROM session_nics ORDER BY session, nic";

fn ledger(row: &Row<'_>) -> rusqlite::Result<LedgerEvidence> {
    Ok(LedgerEvidence {
        session: SessionId::of_column(row.get(0)?),
        nic: row.get(1)?,
        first: sums(row, 2)?,
        last: sums(row, 6)?,
        counted: sums(row, 10)?,
        uncounted_seqs: row.get::<_, i64>(14)?.into(),
    })
}

/// The figures whose conservation is proven, over many rows.
const SUMS: &str =
    "wide_sum(rx_bytes), wide_sum(tx_bytes), wide_sum(rx_packets), wide_sum(tx_packets)";

/// Four neighbouring columns; NULL counts as 0.
fn sums(row: &Row<'_>, at: usize) -> rusqlite::Result<Sums> {
    let number = |at| wide(row, at);
    Ok(Sums::from_array([number(at)?, number(at + 1)?, number(at + 2)?, number(at + 3)?]))
}

/// What is known of each NIC, and faults of its packed samples.
fn nics(db: &Transaction<'_>) -> Result<(Vec<NicEvidence>, Vec<String>), Failure> {
    let mut nics = all(
        db,
        "SELECT nics.id, client_id, name, expired_rx_bytes, expired_tx_bytes, expired_rx_packets,
             expired_tx_packets, client
         FROM nics JOIN clients ON clients.id = client ORDER BY client_id, name",
        |row| {
            let nic = NicEvidence {
                nic: row.get(0)?,
                client: row.get(1)?,
                name: row.get(2)?,
                expired: sums(row, 3)?,
                ..NicEvidence::default()
            };
            Ok((row.get::<_, i64>(7)?, nic))
        },
    )?;
    let kept_from: [i64; 2] =
        db.query_row("SELECT raw_from, rollup_1m_from FROM retention", [], |row| {
            Ok([row.get(0)?, row.get(1)?])
        })?;
    let (mut samples, mut faults) = (SampleReader::of(db)?, Vec::new());
    for (client, nic) in &mut nics {
        let since = |table: &str, from: i64| {
            db.prepare_cached(&format!(
                "SELECT {SUMS}
                 FROM {table} WHERE client = ?1 AND nic = ?2 AND time >= ?3"
            ))?
            .query_row(params![*client, nic.nic, from], |row| sums(row, 0))
        };
        let [raw_from, minutes_from] = kept_from;
        nic.five_minutes = since("bandwidth_5m", 0)?;
        let key = RowKey { client: *client, nic: nic.nic, from: raw_from, to: i64::MAX };
        let (raw, damaged) = samples.proof(db, &key)?;
        let of_nic = |fault| format!("client {}, NIC {}: {fault}", nic.client, nic.name);
        faults.extend(damaged.into_iter().map(of_nic));
        nic.raw = (raw, since("bandwidth_5m", raw_from)?);
        nic.minutes = (since("bandwidth_1m", minutes_from)?, since("bandwidth_5m", minutes_from)?);
    }
    let mut gaps = db.prepare(&format!("SELECT {SUMS} FROM gaps WHERE nic = ?1"))?;
    for (_, nic) in &mut nics {
        nic.gaps = gaps.query_row([nic.nic], |row| sums(row, 0))?;
    }
    Ok((nics.into_iter().map(|(_, nic)| nic).collect(), faults))
}
