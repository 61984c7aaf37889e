//! A store that only records queries, and can be switched off.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use collector::store::{
    AccountCycle, AccountEntry, AccountWarning, Client, ClientRange, CycleRecords, EventKind,
    Group, GroupPoint, GroupsFound, GroupsRange, KeepCycles, KeptEntry, KnownNic, MeterRow,
    Metering, NicBefore, NicEvent, NicHistory, NicRange, Percentile, PercentileRange, Point,
    PointCounts, Query, Resolution, Series, SeriesRange, StoreError, StoredMinutes, TagStay,
    Volume,
};
use tokio::sync::watch;
use wire::WallNs;
use wire::frame::{Mix, MixCounts, flags};
use wire::id::NicName;
use wire::message::{Host, Nic};
use wire::tag::Tag;
use wire::{Bytes, Packets};

use crate::server::NOON;

/// Two clients; one of them has a NIC with one point, half a second after [`NOON`].
#[derive(Debug, Default)]
pub struct Memory {
    failing: AtomicBool,
    /// The account whose cycles can't be read.
    failing_account: Mutex<Option<String>>,
    asked: Mutex<Option<SeriesRange>>,
    /// While true, series are not answered.
    held: watch::Sender<bool>,
    /// Number of running series queries.
    running: AtomicUsize,
    /// What is kept of accounts.
    kept: Mutex<Vec<AccountCycle>>,
    warnings: Mutex<Vec<AccountWarning>>,
}

/// A running series query.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Memory {
    /// Makes every call fail from now on.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }

    /// Makes reading the cycles of one account fail from now on, or of none.
    pub fn fail_for(&self, account: Option<&str>) {
        *self.failing_account.lock().unwrap() = account.map(str::to_owned);
    }

    /// Holds series queries, or lets them continue.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Number of running series queries.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// The last series query.
    pub fn asked(&self) -> SeriesRange {
        self.asked.lock().unwrap().clone().unwrap()
    }

    pub fn check(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::Relaxed) { Err(switched_off()) } else { Ok(()) }
    }
}

fn switched_off() -> StoreError {
    StoreError::Failed { location: "memory".into(), error: "switched off".into() }
}

#[async_trait]
impl Query for Memory {
    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.check()?;
        let nic = Nic {
            name: NicName::new("eth0").unwrap(),
            mac: [2, 0, 0, 0, 0, 10],
            speed_bits: 10_000_000_000,
            kind: "physical".into(),
            ..Nic::default()
        };
        let client = |client: &str, nics| Client {
            client: client.into(),
            alias: String::new(),
            created_ns: WallNs(NOON),
            last_seen_ns: WallNs(NOON),
            host: Host::default(),
            clock_offset_ns: None,
            nics,
        };
        Ok(vec![client("db-1", vec![]), client("web-1", vec![nic])])
    }

    async fn groups(&self, range: &GroupsRange) -> Result<GroupsFound, StoreError> {
        self.check()?;
        let rx = PointCounts { bytes: Bytes(7), ..PointCounts::default() };
        let (start_ns, interval_ns) = (range.from_ns, range.step_ns);
        let point = Point { start_ns, interval_ns, rx, ..Point::default() };
        let points = vec![GroupPoint { point, percentile: Some([8, 9]) }];
        let one = range.client.clone().filter(|_| range.each_client);
        let value = one.or_else(|| range.by.as_ref().map(|key| format!("a {key}")));
        let group = Group { value, clients: 2, points, ..Group::default() };
        let many = range.by.as_ref().is_some_and(|key| key.as_str() == "many");
        let others = many.then(|| Group { value: None, others: 37, clients: 40, ..group.clone() });
        let groups = std::iter::once(group).chain(others).collect();
        Ok(GroupsFound { groups, missing_days: usize::from(many) })
    }

    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError> {
        self.check()?;
        *self.asked.lock().unwrap() = Some(range.clone());
        self.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(&self.running);
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
        drop(running);
        let counts = PointCounts {
            bytes: Bytes(1),
            packets: Packets(2),
            captured: Packets(3),
            peak_1ms_bytes: 4,
            peak_10ms_bytes: 5,
        };
        let point = Point {
            start_ns: WallNs(NOON + 500_000_000),
            interval_ns: 500_000_000,
            rx: counts,
            tx: counts,
            drops: Packets(6),
            flags: flags::STACKED,
        };
        let known = (range.client.as_str(), range.nic.as_str()) == ("web-1", "eth0");
        let within = (range.from_ns..range.to_ns).contains(&point.start_ns);
        let points = if known && within { vec![point] } else { vec![] };
        Ok(Series { resolution: Resolution::Raw, points })
    }

    async fn minutes(&self, _: &[ClientRange]) -> Result<Vec<StoredMinutes>, StoreError> {
        self.check()?;
        Ok(vec![])
    }

    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError> {
        self.check()?;
        let PercentileRange { from_ns, to_ns, .. } = *range;
        let known = range.client == "web-1" && range.nic.as_deref().is_none_or(|it| it == "eth0");
        let rate = |bits| known.then_some(bits);
        let (rx_bits_per_second, tx_bits_per_second) = (rate(8000), rate(9000));
        let (intervals, measured) = (3, if known { 2 } else { 0 });
        let limits = Percentile { from_ns, to_ns, intervals, measured, ..Percentile::default() };
        Ok(Percentile { rx_bits_per_second, tx_bits_per_second, ..limits })
    }

    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError> {
        self.check()?;
        if (range.client.as_str(), range.nic.as_str()) != ("web-1", "eth0") {
            return Ok(Mix::default());
        }
        let size_packets = [1, 2, 3, 4, 5, 6, 7].map(Packets);
        let rx = MixCounts {
            size_packets,
            tcp_bytes: Bytes(8),
            ipv6_bytes: Bytes(9),
            ..MixCounts::default()
        };
        Ok(Mix { interval_ns: 10_000_000_000, rx, ..Mix::default() })
    }

    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<NicEvent>, StoreError> {
        self.check()?;
        if (range.client.as_str(), range.nic.as_str()) != ("web-1", "eth0") {
            return Ok(Vec::new());
        }
        let event = |n| NicEvent {
            time_ns: WallNs(NOON + n),
            interval_ns: 0,
            kind: if n == 0 { EventKind::Started } else { EventKind::Lost { packets: Packets(n) } },
        };
        // As many points as requested, for ranges longer than an hour.
        let long = range.to_ns - range.from_ns > 3_600_000_000_000;
        Ok((0..if long { limit as u64 } else { 2 }).map(event).collect())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.check()
    }
}

#[async_trait]
impl Metering for Memory {
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError> {
        self.check()?;
        let nic = KnownNic {
            client: "web-1".into(),
            nic: "eth0".into(),
            kind: "physical".into(),
            speed_bits: 10_000_000_000,
        };
        Ok(if clients.contains(&nic.client) { vec![nic] } else { vec![] })
    }

    /// web-1 always has it.
    async fn tag_stays(
        &self,
        _tag: &Tag,
        (from_ns, to_ns): (WallNs, WallNs),
    ) -> Result<Vec<TagStay>, StoreError> {
        self.check()?;
        Ok(vec![TagStay { client: "web-1".into(), from_ns, to_ns }])
    }

    /// 1000 bytes received in the first 5 minutes of every cycle, which begins at midnight in UTC or Berlin.
    async fn nic_histories(
        &self,
        nics: &[KnownNic],
        (from_ns, _): (WallNs, WallNs),
    ) -> Result<Vec<NicHistory>, StoreError> {
        self.check()?;
        let rx = Volume { bytes: Bytes(1000), packets: Packets(10) };
        let row = MeterRow { start_ns: from_ns, rx, ..MeterRow::default() };
        let row = MeterRow { covered_ns: 300_000_000_000, ..row };
        let midnight = matches!(from_ns.get() / 3_600_000_000_000 % 24, 0 | 23);
        let rows = if midnight { vec![row] } else { vec![] };
        Ok(vec![NicHistory { rows, ..NicHistory::default() }; nics.len()])
    }

    async fn nics_before(
        &self,
        nics: &[KnownNic],
        _time_ns: WallNs,
    ) -> Result<Vec<NicBefore>, StoreError> {
        self.check()?;
        Ok(vec![NicBefore::default(); nics.len()])
    }

    /// November 2023.
    async fn complete_from(&self) -> Result<WallNs, StoreError> {
        self.check()?;
        Ok(WallNs(1_698_796_800_000_000_000))
    }
}

#[async_trait]
impl CycleRecords for Memory {
    async fn account_cycles(&self, account: &str) -> Result<Vec<AccountCycle>, StoreError> {
        self.check()?;
        if self.failing_account.lock().unwrap().as_deref() == Some(account) {
            return Err(switched_off());
        }
        let kept = self.kept.lock().unwrap();
        Ok(kept.iter().filter(|it| it.account == account).cloned().collect())
    }

    async fn account_evidence(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Option<String>, StoreError> {
        self.check()?;
        let kept = self.kept.lock().unwrap();
        let found = |it: &&AccountCycle| {
            it.account == account && it.cycle == cycle && it.frozen_ns.is_some()
        };
        Ok(kept.iter().find(found).map(|it| it.evidence.clone()))
    }

    async fn account_entries(&self, _account: &str) -> Result<Vec<KeptEntry>, StoreError> {
        self.check()?;
        Ok(vec![])
    }

    async fn account_warnings(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Vec<AccountWarning>, StoreError> {
        self.check()?;
        let given = self.warnings.lock().unwrap();
        let of = |it: &&AccountWarning| it.account == account && it.cycle == cycle;
        Ok(given.iter().filter(of).cloned().collect())
    }
}

#[async_trait]
impl KeepCycles for Memory {
    async fn keep_account_cycle(&self, cycle: &AccountCycle) -> Result<bool, StoreError> {
        self.check()?;
        let mut kept = self.kept.lock().unwrap();
        kept.retain(|it| (&it.account, &it.cycle) != (&cycle.account, &cycle.cycle));
        kept.push(cycle.clone());
        Ok(true)
    }

    async fn add_account_entry(&self, _entry: &AccountEntry) -> Result<(), StoreError> {
        self.check()
    }

    async fn keep_account_warning(&self, warning: &AccountWarning) -> Result<bool, StoreError> {
        self.check()?;
        self.warnings.lock().unwrap().push(warning.clone());
        Ok(true)
    }
}
