//! The web server of one test.

use std::sync::Arc;
use std::time::Duration;

use collector::accounts::AccountBook;
use collector::alerts::{AlertRules, AlertsSection};
use collector::live::Live;
use collector::metrics::Metrics;
use collector::store::dates::Dates;
use collector::time::{boot, now_ns};
use collector::web::{
    Access, AddressNames, AlertInbox, HttpTls, SignedOut, StoredTalkers, WebLimits, WebState, serve,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use wire::Seq;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::Host;
use wire::{Bytes, Packets};

use crate::client::{Answer, get};
use crate::memory::Memory;

/// Time of the store's only sample.
pub const NOON: u64 = 1_704_110_400_000_000_000;

/// A running server.
pub struct Server {
    pub address: String,
    pub live: Live,
    pub memory: Arc<Memory>,
    pub book: AccountBook,
    /// The store's clock.
    pub dates: Dates,
    pub notice: watch::Sender<Option<String>>,
    pub stop: watch::Sender<bool>,
    pub task: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub async fn server() -> Server {
    server_with(None, Access::default()).await
}

/// A server with this clock of the store.
pub async fn server_by(dates: Dates) -> Server {
    complete(None, Access::default(), WebLimits::default(), None, dates, None).await
}

/// A server that knows names of addresses.
pub async fn named_by(names: AddressNames) -> Server {
    let dates = Dates::awaited();
    complete(None, Access::default(), WebLimits::default(), None, dates, Some(names)).await
}

/// A server with this state of the writer and this access.
pub async fn server_with(writer: Option<&'static str>, access: Access) -> Server {
    server_within(writer, access, WebLimits::default()).await
}

/// The same with limits.
pub async fn server_within(
    writer: Option<&'static str>,
    access: Access,
    limits: WebLimits,
) -> Server {
    encrypted(writer, access, limits, None).await
}

/// The same with TLS.
pub async fn encrypted(
    writer: Option<&'static str>,
    access: Access,
    limits: WebLimits,
    tls: Option<HttpTls>,
) -> Server {
    let dates = Dates::awaited();
    dates.set(now_ns(), boot(), Duration::ZERO);
    complete(writer, access, limits, tls, dates, None).await
}

async fn complete(
    writer: Option<&'static str>,
    access: Access,
    limits: WebLimits,
    tls: Option<HttpTls>,
    dates: Dates,
    names: Option<AddressNames>,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (live, memory) = (Live::new(), Arc::new(Memory::default()));
    let book = AccountBook::new(memory.clone(), vec![]);
    let (notice, noticed) = watch::channel(None);
    let state = WebState {
        live: live.clone(),
        query: memory.clone(),
        talkers: StoredTalkers { store: memory.clone(), names },
        alerts: AlertInbox { store: memory.clone(), rules: Arc::new(rules) },
        book: book.clone(),
        dates: dates.clone(),
        writer: Arc::new(move || writer.map(str::to_owned)),
        notice: Arc::new(move || noticed.borrow().clone()),
        metrics: Metrics::with_recorder().unwrap().1,
        version: "1.2.3".into(),
        host_names: vec!["netmon.example".into()],
        access,
        tls,
        signed_out: SignedOut::default(),
        limits,
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, state, stopped));
    Server { address, live, memory, book, dates, notice, stop, task }
}

/// One rule.
fn rules() -> AlertRules {
    let section =
        r#"{"time_zone": "Europe/Berlin", "rules": {"full": {"measure": "utilisation"}}}"#;
    let section: AlertsSection = serde_json::from_str(section).unwrap();
    AlertRules::of(&section).unwrap()
}

impl Server {
    pub async fn get(&self, path: &str) -> Answer {
        get(&self.address, path).await
    }

    /// The error of a path that must fail with this status.
    pub async fn error(&self, path: &str, status: u16) -> (String, String) {
        let answer = self.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let error = &answer.json()["error"];
        let text = |key: &str| error[key].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }

    /// Connects a client and delivers one frame.
    pub fn observe(&self, client: &str, alias: &str, seq: u64) {
        let client = ClientId::new(client).unwrap();
        self.live.on_connected(&client, alias, &Host::default(), now_ns());
        self.live.observe(&client, &frame(seq), now_ns());
    }
}

/// A frame of half a second: 1000 bytes in 10 packets received.
fn frame(seq: u64) -> Frame {
    let sample = Sample {
        nic: NicName::new("eth0").unwrap(),
        start_ns: now_ns(),
        interval_ns: 500_000_000,
        rx: Counts {
            bytes: Bytes(1000),
            packets: Packets(10),
            total_bytes: Bytes(1000 * seq),
            total_packets: Packets(10 * seq),
            peak_1ms_bytes: 300,
            ..Counts::default()
        },
        ..Sample::default()
    };
    Frame {
        session: SessionId::new(1),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples: vec![sample],
        mixes: vec![],
        talkers: vec![],
    }
}
