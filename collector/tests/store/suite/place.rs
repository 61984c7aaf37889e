//! The place of a store under test, with common queries of tests.

use std::sync::Arc;

use collector::store::{Database, Epoch, Point, Resolution, SessionState};
use wire::id::SessionId;
use wire::{Seq, WallNs};

use crate::batches::{Agent, START, all, client, hello};

/// The place of one test's store.
pub trait Place {
    /// Opens the store; the first call creates it.
    async fn open(&self) -> Arc<dyn Database>;

    /// The single column of a query, in SQL that every database understands.
    async fn numbers(&self, sql: &str) -> Vec<i64>;

    /// Changes the database behind the store's back.
    async fn execute(&self, sql: &str);

    /// Waits until no reader holds an earlier snapshot, which would keep the database from cleaning up.
    async fn wait_until_nothing_is_read(&self);

    /// The rows of `bandwidth_report` by NIC and time.
    async fn report(&self, client: &str) -> Vec<ReportRow>;
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReportRow {
    pub alias: String,
    pub nic: String,
    pub timestamp: String,
    pub upload_speed: f64,
    pub download_speed: f64,
    pub avg_upload_packet_size: Option<f64>,
    pub avg_download_packet_size: Option<f64>,
}

/// A store with one client and one session.
pub async fn opened(place: &impl Place) -> (Arc<dyn Database>, Agent) {
    let store = place.open().await;
    let states = store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    assert_eq!(
        states,
        [SessionState { session: SessionId::new(1), seq: Seq(0), epoch: Epoch(1), digest: None }]
    );
    (store, Agent::new("web", 1, 1))
}

pub async fn raw(store: &Arc<dyn Database>, client: &str, nic: &str) -> Vec<Point> {
    store.series(&all(client, nic, Resolution::Raw)).await.unwrap().points
}

pub async fn assert_sound(store: &Arc<dyn Database>) {
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}
