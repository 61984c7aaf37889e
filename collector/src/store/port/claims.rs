//! Claims of clients' places, and refused second hosts.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::id::ClientId;

use super::error::StoreError;
use crate::store::rows::claims::{Holder, Lost, PlaceId, Question, SecondHostRecord};

/// Claims of places. The default implementation suits a store with a single collector, which knows all
/// connections itself.
#[async_trait]
pub trait Claims: Send + Sync + Debug {
    /// Takes a client's place unless another host holds it; returns that host. `lost` no longer holds
    /// it. The host of a silent collector keeps its place for [`SILENCE`] after the first unanswered
    /// question.
    ///
    /// [`SILENCE`]: crate::store::SILENCE
    async fn claim(
        &self,
        _client: &ClientId,
        _holder: &Holder,
        _lost: Option<Lost>,
    ) -> Result<Option<Holder>, StoreError> {
        Ok(None)
    }

    /// Takes a client's place again that the store has lost, unless somebody else holds it by now;
    /// returns that host.
    async fn claim_again(
        &self,
        _client: &ClientId,
        _holder: &Holder,
    ) -> Result<Option<Holder>, StoreError> {
        Ok(None)
    }

    /// Releases a place if it still belongs to the client.
    async fn release(&self, _client: &ClientId, _place: PlaceId) -> Result<(), StoreError> {
        Ok(())
    }

    /// Asks whether the host at a place still answers; returns the question's number. `None` if the
    /// place no longer belongs to the client.
    async fn ask(&self, _client: &ClientId, _place: PlaceId) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// True if that question was answered, so that the host is alive. `None` as in [`Self::ask`].
    async fn is_answered(
        &self,
        _client: &ClientId,
        _place: PlaceId,
        _question: u64,
    ) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    /// The unanswered questions to a collector. Cheap enough for several calls per second.
    async fn questions(&self, _collector: u64) -> Result<Vec<Question>, StoreError> {
        Ok(vec![])
    }

    /// Answers a question to a collector: the host is alive.
    async fn answer(&self, _collector: u64, _question: &Question) -> Result<(), StoreError> {
        Ok(())
    }

    /// The places of a collector: clients and place numbers. `None`: the places that the collector
    /// itself knows.
    async fn held(&self, _collector: u64) -> Result<Option<Vec<(String, u64)>>, StoreError> {
        Ok(None)
    }

    /// Records a refused second host. It continues the previous record if that was reported within half
    /// an hour.
    async fn note_second_host(&self, second: &SecondHostRecord) -> Result<(), StoreError>;

    /// Removes the record of a client's second host.
    async fn forget_second_host(&self, client: &ClientId) -> Result<(), StoreError>;
}

/// Reads refused second hosts.
#[async_trait]
pub trait SecondHosts: Send + Sync + Debug {
    /// The last one per client.
    async fn second_hosts(&self) -> Result<Vec<SecondHostRecord>, StoreError>;
}
