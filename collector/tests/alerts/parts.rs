//! The alerting parts of a collector in this process, over a real store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use collector::alerts::{
    AlertOutbox, AlertRules, AlertsSection, CONFIRM, Engine, Recorder, targets, with_talkers,
};
use collector::config::{self, Config};
use collector::live::Live;
use collector::store::Database;
use collector::store::sqlite::SqliteStore;
use collector::time::now_ns;
use settings::{ConfigError, Options};
use tokio::task::JoinHandle;
use wire::Bytes;
use wire::Seq;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic};

/// Link speed of a NIC here: 1 Gbit/s.
pub const SPEED: u64 = 1_000_000_000;

const INTERVAL_NS: u64 = 500_000_000;

/// A running collector, as far as alerts go.
pub struct Parts {
    pub live: Live,
    pub engine: Arc<Engine>,
    task: JoinHandle<()>,
    totals: BTreeMap<String, u64>,
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A config from YAML.
pub fn load(yaml: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.yaml");
    std::fs::write(&path, yaml).unwrap();
    let options = Options { config: Some(path), ..Options::default() };
    config::load(&options).map(|loaded| loaded.config)
}

pub fn section(yaml: &str) -> AlertsSection {
    load(yaml).unwrap().alerts
}

pub fn store(folder: &tempfile::TempDir) -> Arc<dyn Database> {
    Arc::new(SqliteStore::open(&folder.path().join("netmon.sqlite")).unwrap())
}

pub fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

impl Parts {
    pub fn start(section: &AlertsSection, store: Arc<dyn Database>, run: u64) -> Self {
        Self::confirming(section, store, run, CONFIRM)
    }

    /// The same with an interval in which it confirms what it stands behind.
    pub fn confirming(
        section: &AlertsSection,
        store: Arc<dyn Database>,
        run: u64,
        confirm: Duration,
    ) -> Self {
        let live = Live::new();
        let (engine, emitted) = Engine::new(AlertRules::of(section).unwrap());
        let (tap, emitted) = with_talkers(engine.clone(), emitted);
        live.set_tap(tap);
        let outbox = Arc::new(AlertOutbox::new(store.clone(), run));
        outbox.serve(targets(section).unwrap());
        let url = section.url.clone();
        let recorder = Recorder {
            engine: engine.clone(),
            store,
            outbox,
            live: live.clone(),
            url: Arc::new(move || url.clone()),
            name: format!("collector {run}"),
            run,
            confirm,
        };
        let task = tokio::spawn(recorder.run(emitted));
        Self { live, engine, task, totals: BTreeMap::new() }
    }

    pub fn connect(&self, id: &str, alias: &str) {
        let nic = |name| Nic {
            name: NicName::new(name).unwrap(),
            kind: "physical".into(),
            speed_bits: SPEED,
            up: true,
            ..Nic::default()
        };
        self.live.on_connected(&client(id), alias, &Host::default(), now_ns());
        self.live.on_inventory(&client(id), &Inventory { nics: vec![nic("eth0"), nic("eth1")] });
    }

    /// A client reports half a second of its `eth0`.
    pub fn report(&mut self, id: &str, change: impl FnOnce(&mut Sample)) {
        let seq = self.totals.entry(id.to_owned()).or_default();
        *seq += 1;
        let seq = Seq(*seq);
        self.report_as(id, seq, change);
    }

    /// The next report of a client gets a number one higher: this one comes later.
    pub fn skip(&mut self, id: &str) -> Seq {
        let seq = self.totals.entry(id.to_owned()).or_default();
        *seq += 1;
        Seq(*seq)
    }

    /// The same with a number.
    pub fn report_as(&self, id: &str, seq: Seq, change: impl FnOnce(&mut Sample)) {
        let mut sample = Sample {
            nic: NicName::new("eth0").unwrap(),
            start_ns: now_ns() - INTERVAL_NS,
            interval_ns: INTERVAL_NS,
            ..Sample::default()
        };
        change(&mut sample);
        let frame = Frame {
            session: SessionId::new(1),
            first_seq: seq,
            last_seq: seq,
            gap: 0,
            samples: vec![sample],
            mixes: vec![],
            talkers: vec![],
        };
        self.live.observe(&client(id), &frame, now_ns());
    }

    /// A report with this share of the link received, percent.
    pub fn load(&mut self, id: &str, percent: u64) {
        // Of 1 Gbit/s, half a second is 62.5 MB.
        let rx = Counts { bytes: Bytes(percent * 625_000), ..Counts::default() };
        self.report(id, |sample| sample.rx = rx);
    }
}
