//! Partitions: listed, made when rows need them, dropped by age.

use std::collections::BTreeSet;
use std::ops::Range;

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::WallNs;
use wire::frame::Frame;

use super::connect::BEGIN;
use super::error::Failure;
use crate::store::rows::batch::Batch;
use crate::store::rows::tables::{MIXES, SAMPLES};
use crate::time::Time;

pub(super) const DAY_NS: u64 = 86_400_000_000_000;

/// Rows within this time of now get a partition of their day; others share the default partition.
const PAST_NS: u64 = 32 * DAY_NS;
const FUTURE_NS: u64 = 3 * DAY_NS;

/// How long dropping waits for slow readers of a partition.
pub(super) const WAIT: &str = "5s";

/// A partitioned table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Stats,
    Packed,
    Mix,
    PackedMixes,
    Talkers,
    Minutes,
    FiveMinutes,
}

impl Table {
    pub(super) const ALL: [Self; 7] = [
        Self::Stats,
        Self::Packed,
        Self::Mix,
        Self::PackedMixes,
        Self::Talkers,
        Self::Minutes,
        Self::FiveMinutes,
    ];

    /// Those of stretches.
    pub(super) const STRETCHES: [Self; 2] = [Self::Packed, Self::PackedMixes];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stats => "hot_samples",
            Self::Packed => "packed_samples",
            Self::Mix => "hot_mixes",
            Self::PackedMixes => "packed_mixes",
            Self::Talkers => "talkers",
            Self::Minutes => "bandwidth_1m",
            Self::FiveMinutes => "bandwidth_5m",
        }
    }

    /// Its name before its rows were packed, which the view of all rows has now. The names of its partitions begin
    /// with it.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Stats => SAMPLES,
            Self::Mix => MIXES,
            Self::Packed
            | Self::PackedMixes
            | Self::Talkers
            | Self::Minutes
            | Self::FiveMinutes => self.name(),
        }
    }

    /// The table to which rows of a view are added; a table's own name stays.
    pub(super) fn of_rows(name: &'static str) -> &'static str {
        Self::ALL.into_iter().find(|table| table.prefix() == name).map_or(name, Self::name)
    }

    /// Length of a partition in nanoseconds, so that the retention needs few partitions.
    pub(super) const fn length_ns(self) -> u64 {
        match self {
            Self::FiveMinutes => 10 * DAY_NS,
            Self::Stats
            | Self::Packed
            | Self::Mix
            | Self::PackedMixes
            | Self::Talkers
            | Self::Minutes => DAY_NS,
        }
    }

    /// Rollups are updated in place and need free space on their pages.
    const fn fill_factor(self) -> u8 {
        match self {
            Self::Minutes | Self::FiveMinutes => 70,
            Self::Stats | Self::Packed | Self::Mix | Self::PackedMixes | Self::Talkers => 100,
        }
    }

    /// How often its rows change until ANALYZE comes, in their number (`autovacuum_analyze_scale_factor`): a row of a
    /// rollup changes with each commit. By PostgreSQL's own 0.1 it comes some hundred times a day, and sorts 30,000
    /// values of each column for a second; plans need to know little, as all that is read is read by index.
    const fn analyze_factor(self) -> u8 {
        match self {
            Self::Minutes | Self::FiveMinutes => 30,
            Self::Stats | Self::Packed | Self::Mix | Self::PackedMixes | Self::Talkers => 1,
        }
    }
}

/// A partition, numbered by its length since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    pub table: Table,
    number: u64,
}

impl Partition {
    /// The partition of a time.
    pub(super) fn of(table: Table, time_ns: WallNs) -> Self {
        Self { table, number: time_ns / table.length_ns() }
    }

    /// Parses the name of a partition; `None` for the default one and manual ones.
    pub(super) fn parse(table: Table, name: &str) -> Option<Self> {
        let number = name.strip_prefix(table.prefix())?.strip_prefix("_p")?.parse().ok()?;
        Some(Self { table, number })
    }

    pub(super) fn name(self) -> String {
        format!("{}_p{}", self.table.prefix(), self.number)
    }

    /// Begins a transaction that removes it from its table. False, and none has begun, if it is gone: another
    /// collector, or packing, was first. Locks the table first, as commits do: the reverse order would
    /// deadlock. Commits queue behind these locks, so the wait for slow readers is limited, and the holder must be
    /// quick.
    pub(super) async fn take(self, client: &Client, wait: &str) -> Result<bool, Failure> {
        let (table, name) = (self.table.name(), self.name());
        let lock = format!(
            "{BEGIN}; SET LOCAL lock_timeout = '{wait}';
             LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"
        );
        client.batch_execute(&lock).await?;
        let is_there = exists(client, &name).await?;
        let then = format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE");
        client.batch_execute(if is_there { &then } else { "COMMIT" }).await?;
        Ok(is_there)
    }

    /// True if its table has rows of its time. Asks the table, because the partition may be dropped meanwhile.
    pub(super) async fn has_rows(self, client: &Client) -> Result<bool, Failure> {
        let [from, to] = self.bounds().map(Time);
        let any = format!(
            "SELECT 1 FROM {} WHERE time >= '{from}' AND time < '{to}' LIMIT 1",
            self.table.name()
        );
        Ok(client.query_typed_opt(&any, &[]).await?.is_some())
    }

    /// True if it ends by a time.
    pub(super) fn ends_by(self, time_ns: WallNs) -> bool {
        time_ns / self.table.length_ns() > self.number
    }

    /// Its start.
    pub(super) const fn starts_ns(self) -> WallNs {
        WallNs(self.number * self.table.length_ns())
    }

    /// True if it lies near a time: rows far off share the default partition.
    pub(super) fn is_worth_making(self, now_ns: WallNs) -> bool {
        near(now_ns).contains(&self.starts_ns())
    }

    /// Its start and end.
    fn bounds(self) -> [WallNs; 2] {
        [self.starts_ns(), self.starts_ns() + self.table.length_ns()]
    }
}

/// The partition that holds all samples of a batch, if there is one.
pub(super) fn of_all_samples(batch: &Batch) -> Option<Partition> {
    let mut partitions = sample_times(batch).map(|time_ns| Partition::of(Table::Stats, time_ns));
    let first = partitions.next()?;
    partitions.all(|partition| partition == first).then_some(first)
}

/// The frames that become rows.
fn frames(batch: &Batch) -> impl Iterator<Item = &Frame> {
    batch.frames().filter(|frame| batch.refusal(frame).is_none())
}

/// Start times of the samples that become rows, nanoseconds since 1970.
fn sample_times(batch: &Batch) -> impl Iterator<Item = WallNs> {
    let samples = frames(batch).filter(|frame| frame.gap == 0).flat_map(|frame| &frame.samples);
    samples.map(|sample| sample.start_ns).filter(|time_ns| batch.near.contains(*time_ns))
}

/// The times whose rows get partitions.
fn near(now_ns: WallNs) -> Range<WallNs> {
    now_ns.saturating_sub(PAST_NS)..now_ns.saturating_add(FUTURE_NS)
}

/// The partitions that the rows of a batch need and that are worth making.
pub(super) fn needed(batch: &Batch, now_ns: WallNs) -> BTreeSet<Partition> {
    let near = near(now_ns);
    let near = |time_ns: &WallNs| near.contains(time_ns);
    let samples = days(sample_times(batch).filter(near));
    let mixes = frames(batch).flat_map(|frame| &frame.mixes);
    let mixes = days(mixes.map(|mix| mix.start_ns).filter(near));
    let talkers = frames(batch).flat_map(|frame| &frame.talkers);
    let talkers = days(talkers.map(|record| record.start_ns).filter(near));
    let of = |table, day| Partition::of(table, WallNs(day * DAY_NS));
    let samples = samples.into_iter().flat_map(|day| {
        [Table::Stats, Table::Minutes, Table::FiveMinutes].map(|table| of(table, day))
    });
    let mixes = mixes.into_iter().map(|day| of(Table::Mix, day));
    samples.chain(mixes).chain(talkers.into_iter().map(|day| of(Table::Talkers, day))).collect()
}

/// The days since 1970 of these times.
fn days(times_ns: impl Iterator<Item = WallNs>) -> BTreeSet<u64> {
    let mut days = BTreeSet::new();
    let mut last = None;
    for day in times_ns.map(|time_ns| time_ns / DAY_NS) {
        // Nearly all are equal to the previous one.
        if last.replace(day) != Some(day) {
            days.insert(day);
        }
    }
    days
}

/// The partitions of now and the next days, made ahead so that commits don't wait for them.
pub(super) fn ahead(now_ns: WallNs) -> BTreeSet<Partition> {
    let times = [now_ns, now_ns + DAY_NS, now_ns + 2 * DAY_NS];
    let of = |table| times.map(|time_ns| Partition::of(table, time_ns));
    Table::ALL.into_iter().flat_map(of).collect()
}

/// Makes a missing partition and moves its rows out of the default one.
pub(super) async fn make(client: &Client, partition: Partition) -> Result<(), Failure> {
    if exists(client, &partition.name()).await? {
        return Ok(());
    }
    // Rows can wait in the default partition, but commits can't wait.
    client.batch_execute(&format!("{BEGIN}; SET LOCAL lock_timeout = '2s'")).await?;
    make_within(client, partition).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// The same in a transaction of its caller.
pub(super) async fn make_within(client: &Client, partition: Partition) -> Result<(), Failure> {
    let (table, name) = (partition.table.name(), partition.name());
    let [fill, analyze] = [partition.table.fill_factor(), partition.table.analyze_factor()];
    let default = format!("{}_default", partition.table.prefix());
    // ISO 8601 in UTC is parsed equally with all settings.
    let [from, to] = partition.bounds().map(Time);
    // Several collectors may make it at the same time.
    let lock = "SELECT pg_advisory_xact_lock(hashtext($1))";
    client.query_typed(lock, &[(&name, Type::TEXT)]).await?;
    if exists(client, &name).await? {
        return Ok(());
    }
    // Lock the table first, as commits and dropping do, to avoid a deadlock.
    client
        .batch_execute(&format!(
            "LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE;
             LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE;
             CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)
                 WITH (fillfactor = {fill}, autovacuum_analyze_scale_factor = {analyze})"
        ))
        .await?;
    let early = format!("{default} WHERE time >= '{from}' AND time < '{to}'");
    let any = format!("SELECT EXISTS (SELECT 1 FROM {early})");
    // Check first: there are hardly ever any.
    if client.query_typed_one(&any, &[]).await?.try_get(0)? {
        client
            .batch_execute(&format!(
                "WITH moved AS (DELETE FROM {early} RETURNING *)
                 INSERT INTO {name} SELECT * FROM moved"
            ))
            .await?;
    }
    client
        .batch_execute(&format!(
            "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        ))
        .await?;
    Ok(())
}

/// True if a table exists now, which a name resolved earlier might not show.
pub(super) async fn exists(client: &Client, name: &str) -> Result<bool, Failure> {
    let select =
        "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid))";
    Ok(client.query_typed_one(select, &[(&name, Type::TEXT)]).await?.try_get(0)?)
}

/// The partitions of a table.
pub(super) async fn all(client: &Client, table: Table) -> Result<Vec<Partition>, Failure> {
    let rows = client
        .query_typed(
            "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
             WHERE inhparent = to_regclass($1) ORDER BY relname",
            &[(&table.name(), Type::TEXT)],
        )
        .await?;
    let mut partitions = Vec::new();
    for row in rows {
        partitions.extend(Partition::parse(table, row.try_get(0)?));
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_known_by_its_name() {
        for table in Table::ALL {
            let partition = Partition::of(table, WallNs(1_799_971_200_000_000_000));
            assert_eq!(Partition::parse(table, &partition.name()), Some(partition));
            assert_eq!(Partition::parse(table, &format!("{}_default", table.prefix())), None);
        }
    }

    #[test]
    fn a_partition_ends_where_the_next_begins() {
        let partition = Partition::of(Table::Stats, WallNs(20_000 * DAY_NS + 5));
        assert!(partition.ends_by(WallNs(20_001 * DAY_NS)));
        assert!(!partition.ends_by(WallNs(20_001 * DAY_NS - 1)));
        assert_eq!(partition.bounds(), [WallNs(20_000 * DAY_NS), WallNs(20_001 * DAY_NS)]);
    }

    #[test]
    fn the_next_days_are_prepared() {
        let ahead = ahead(WallNs(20_009 * DAY_NS));
        assert_eq!(ahead.len(), 6 * 3 + 2);
    }
}
