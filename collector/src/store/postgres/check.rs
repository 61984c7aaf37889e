//! Reads the evidence for the proof of `fsck`.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::{Client, Row};
use wire::id::SessionId;

use super::account_cycles;
use super::citus;
use super::error::Failure;
use super::expired;
use super::partition::Table;
use super::store::PostgresStore;
use super::{client_days, mixes, samples, tags, talkers};
use crate::store::port::check::Check;
use crate::store::port::error::StoreError;
use crate::store::rows::nics::NicId;
use crate::store::rows::proof::{
    CheckReport, Evidence, LedgerEvidence, NicEvidence, SessionEvidence, Sums, judge,
};

#[async_trait]
impl Check for PostgresStore {
    async fn check(&self) -> Result<CheckReport, StoreError> {
        let doubt = self.database.config().doubt();
        self.lease(async |db| check(db, doubt).await).await
    }
}

/// Repeated readings if rows are on several servers. Each wait is twice the previous one.
const AGAIN: u32 = 6;

/// Checks the store. If rows are on several servers, a finding must last for `doubt`.
async fn check(client: &Client, doubt: Duration) -> Result<CheckReport, Failure> {
    let mut report = check_rows(client, doubt).await?;
    report.findings.extend(account_cycles::faults(client).await?);
    Ok(report)
}

async fn check_rows(client: &Client, doubt: Duration) -> Result<CheckReport, Failure> {
    let (evidence, faults) = read(client).await?;
    let mut judgement = judge(&evidence);
    if judgement.report.is_sound() || !is_spread(client).await? {
        judgement.report.findings.extend(faults);
        return Ok(judgement.report);
    }
    let first = doubt / (2_u32.pow(AGAIN) - 1);
    for again in 0..AGAIN {
        tokio::time::sleep(first * 2_u32.pow(again)).await;
        judgement = judge(&read(client).await?.0).lasting(&judgement);
        if judgement.report.is_sound() {
            break;
        }
    }
    Ok(judgement.report)
}

/// True if rows are on several servers, through Citus or foreign tables.
async fn is_spread(client: &Client) -> Result<bool, Failure> {
    let foreign = "SELECT EXISTS (SELECT 1 FROM pg_class
                   WHERE relkind = 'f' AND pg_table_is_visible(oid))";
    Ok(citus::is_there(client).await? || client.query_typed_one(foreign, &[]).await?.try_get(0)?)
}

/// How often a reading is repeated after a lost race.
const RACES_MAX: u32 = 3;

/// What is there, and faults of what is packed.
async fn read(client: &Client) -> Result<(Evidence, Vec<String>), Failure> {
    let mut races = 0;
    loop {
        match read_once(client).await {
            // The detached partition is dropped by now.
            Err(Failure::Raced(_)) if races < RACES_MAX => races += 1,
            evidence => return evidence,
        }
        client.batch_execute("ROLLBACK").await?;
    }
}

async fn read_once(client: &Client) -> Result<(Evidence, Vec<String>), Failure> {
    // One snapshot for everything; on several servers, snapshots as close together as possible. No
    // partition can be detached, or dropped since its rows are packed, from before the snapshot on.
    let lock = [Table::Stats, Table::Mix, Table::FiveMinutes]
        .map(|table| format!("; LOCK TABLE ONLY {} IN ACCESS SHARE MODE", table.name()));
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(&format!("{begin}{}", lock.concat())).await?;
    for table in Table::ALL.map(Table::name) {
        client.query_typed(&format!("SELECT 1 FROM {table} LIMIT 1"), &[]).await?;
    }
    let raw_from =
        client.query_typed_one("SELECT raw_from FROM retention", &[]).await?.try_get(0)?;
    let (packed, mut faults) = samples::proof(client, raw_from).await?;
    faults.extend(mixes::faults(client).await?);
    let evidence = Evidence {
        sessions: all(client, SESSIONS, session).await?,
        ledgers: all(client, LEDGERS, ledger).await?,
        nics: nics(client, packed).await?,
        tags: all(client, TAGS, |row| Ok((row.try_get(5)?, tags::interval(row)?))).await?,
        talkers: talkers::proof(client).await?,
        days: client_days::proof(client).await?,
    };
    client.batch_execute("COMMIT").await?;
    Ok((evidence, faults))
}

async fn all<T>(
    client: &Client,
    sql: &str,
    read: impl Fn(&Row) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    client.query_typed(sql, &[]).await?.iter().map(read).collect()
}

const SESSIONS: &str = "
    SELECT session, client_id, committed_seq::text, covered_seqs::text, gap_seqs::text,
        (SELECT coalesce(sum(last_seq - first_seq + 1), 0)::text FROM
             (SELECT DISTINCT first_seq, last_seq FROM gaps
              WHERE gaps.session = sessions.session) AS ranges),
        quarantine_seqs::text,
        (expired_quarantine_seqs + (SELECT coalesce(sum(last_seq - first_seq + 1), 0)
         FROM quarantine WHERE quarantine.session = sessions.session))::text
    FROM sessions JOIN clients ON clients.id = client ORDER BY client_id, started";

fn session(row: &Row) -> Result<SessionEvidence, Failure> {
    Ok(SessionEvidence {
        session: SessionId::of_column(row.try_get(0)?),
        client: row.try_get(1)?,
        committed: number(row, 2)?,
        covered: number(row, 3)?,
        gaps: number(row, 4)?,
        gap_rows: number(row, 5)?,
        quarantined: number(row, 6)?,
        quarantine_rows: number(row, 7)?,
    })
}

/// A number of any size, selected as text.
fn number(row: &Row, at: usize) -> Result<i128, Failure> {
    let text: &str = row.try_get(at)?;
    text.parse().map_err(|_| Failure::failed(format!("{text:?} is not a whole number")))
}

fn sums(row: &Row, at: usize) -> Result<Sums, Failure> {
    let number = |column| number(row, at + column);
    Ok(Sums::from_array([number(0)?, number(1)?, number(2)?, number(3)?]))
}

const TAGS: &str = "
    SELECT key, value, source, valid_from, valid_to, client_id
    FROM tag_intervals JOIN clients ON clients.id = client";

const LEDGERS: &str = "
    SELECT session, nic, first_rx_bytes::text, first_tx_bytes::text, first_rx_packets::text,
        first_tx_packets::text, last_rx_bytes::text, last_tx_bytes::text, last_rx_packets::text,
        last_tx_packets::text, counted_rx_bytes::text, counted_tx_bytes::text,
        counted_rx_packets::text, counted_tx_packets::text,
        (SELECT coalesce(sum(last_seq - first_seq + 1), 0)::text FROM
             (SELECT first_seq, last_seq FROM gaps
              WHERE gaps.session = session_nics.session AND reason IN (2, 3)
              GROUP BY first_seq, last_seq
              HAVING count(CASE WHEN gaps.nic = session_nics.nic THEN 1 END) = 0) AS ranges)
    FROM session_nics ORDER BY session, nic";

fn ledger(row: &Row) -> Result<LedgerEvidence, Failure> {
    Ok(LedgerEvidence {
        session: SessionId::of_column(row.try_get(0)?),
        nic: row.try_get(1)?,
        first: sums(row, 2)?,
        last: sums(row, 6)?,
        counted: sums(row, 10)?,
        uncounted_seqs: number(row, 14)?,
    })
}

/// The sums of a table by NIC.
async fn sums_of(client: &Client, rows: &str) -> Result<HashMap<NicId, Sums>, Failure> {
    let sql = format!(
        "SELECT nic, sum(rx_bytes)::text, sum(tx_bytes)::text, sum(rx_packets)::text,
             sum(tx_packets)::text FROM {rows} GROUP BY nic"
    );
    let by_nic = |row: &Row| Ok((row.try_get(0)?, sums(row, 1)?));
    Ok(all(client, &sql, by_nic).await?.into_iter().collect())
}

async fn nics(client: &Client, packed: HashMap<NicId, Sums>) -> Result<Vec<NicEvidence>, Failure> {
    let since =
        |table: &str, from: &str| format!("{table} WHERE time >= (SELECT {from} FROM retention)");
    let mut five = sums_of(client, "bandwidth_5m").await?;
    for table in expired::detached(client).await? {
        for (nic, sums) in sums_of(client, &table).await? {
            let five = five.entry(nic).or_default();
            *five = five.plus(sums);
        }
    }
    let gaps = sums_of(client, "gaps WHERE nic IS NOT NULL").await?;
    let mut raw = sums_of(client, &since(Table::Stats.name(), "raw_from")).await?;
    for (nic, packed) in packed {
        let raw = raw.entry(nic).or_default();
        *raw = raw.plus(packed);
    }
    let raw_five = sums_of(client, &since("bandwidth_5m", "raw_from")).await?;
    let minutes = sums_of(client, &since("bandwidth_1m", "rollup_1m_from")).await?;
    let minutes_five = sums_of(client, &since("bandwidth_5m", "rollup_1m_from")).await?;
    let select = "SELECT nics.id, client_id, name, expired_rx_bytes::text, expired_tx_bytes::text,
                      expired_rx_packets::text, expired_tx_packets::text
                  FROM nics JOIN clients ON clients.id = client ORDER BY client_id, name";
    let evidence = |row: &Row| {
        let nic = row.try_get(0)?;
        let of = |sums: &HashMap<NicId, Sums>| sums.get(&nic).copied().unwrap_or_default();
        Ok(NicEvidence {
            nic,
            client: row.try_get(1)?,
            name: row.try_get(2)?,
            five_minutes: of(&five),
            expired: sums(row, 3)?,
            gaps: of(&gaps),
            raw: (of(&raw), of(&raw_five)),
            minutes: (of(&minutes), of(&minutes_five)),
        })
    };
    all(client, select, evidence).await
}
