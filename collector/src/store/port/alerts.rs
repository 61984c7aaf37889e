//! Alerts: incidents and the messages about them, shared by the collectors of one store; and silences.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::WallNs;

use super::error::StoreError;
use crate::store::rows::alerts::{
    AlertChange, AlertIncident, AlertPage, AlertRange, AlertSilence, ClaimedMessage, MessageLease,
    SettledMessage, UnconfirmedAlert,
};

/// Keeps incidents and the outbox. Of one rule and subject at most one incident is open.
#[async_trait]
pub trait Alerts: AlertReader + Silences {
    /// Makes changes in one transaction, with the messages about them. A change that another collector
    /// has made already queues nothing. The same changes may come again, because nobody knows what became
    /// of the first call; then messages that were sent meanwhile are noted as sent.
    async fn change_alerts(
        &self,
        changes: &[AlertChange],
        now_ns: WallNs,
    ) -> Result<(), StoreError>;

    /// The open incidents. Cheap enough for a call every few seconds.
    async fn open_alerts(&self) -> Result<Vec<AlertIncident>, StoreError>;

    /// Notes that the collector of this name stands behind the open incidents with these ids: rules of it
    /// are about them. Gives the other open ones, by id.
    async fn confirm_alerts(
        &self,
        collector: &str,
        ids: &[String],
        now_ns: WallNs,
    ) -> Result<Vec<UnconfirmedAlert>, StoreError>;

    /// The targets that have messages to claim for this run of a collector. Cheap enough for a call every
    /// few seconds.
    async fn targets_to_serve(
        &self,
        collector: u64,
        now_ns: WallNs,
    ) -> Result<Vec<String>, StoreError>;

    /// Takes up to `most` messages of a target that are due and claimed by nobody, the oldest first. The
    /// one that an incident is resolved comes after the one that it fires.
    async fn claim_messages(
        &self,
        target: &str,
        lease: MessageLease,
        most: usize,
        now_ns: WallNs,
    ) -> Result<Vec<ClaimedMessage>, StoreError>;

    /// Notes what became of claimed messages, in one transaction. Once one is sent or given up, this stays.
    async fn settle_messages(
        &self,
        target: &str,
        settled: &[SettledMessage],
        now_ns: WallNs,
    ) -> Result<(), StoreError>;
}

/// Reads incidents and silences.
#[async_trait]
pub trait AlertReader: Send + Sync + Debug {
    /// A page of incidents, the newest first.
    async fn alerts(&self, range: &AlertRange) -> Result<AlertPage, StoreError>;

    /// The silences that have not ended at `now_ns`, the earliest end first. Cheap enough for a call
    /// every few seconds.
    async fn silences(&self, now_ns: WallNs) -> Result<Vec<AlertSilence>, StoreError>;
}

/// Keeps silences, also beside a running collector.
#[async_trait]
pub trait Silences: Send + Sync + Debug {
    /// Adds one.
    async fn add_silence(&self, silence: &AlertSilence) -> Result<(), StoreError>;

    /// Ends the one whose id begins with `id`; gives it, or `None` if none or several do.
    async fn end_silence(
        &self,
        id: &str,
        now_ns: WallNs,
    ) -> Result<Option<AlertSilence>, StoreError>;
}
