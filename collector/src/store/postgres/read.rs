//! Reads clients and their NICs' traffic.

use std::time::Duration;

use async_trait::async_trait;
use wire::frame::Mix;

use super::commit::must_be_safe;
use super::store::PostgresStore;
use super::{clients, groups, history, lease, minutes, mixes, series};
use crate::store::port::error::StoreError;
use crate::store::port::read::Query;
use crate::store::rows::clients::Client;
use crate::store::rows::groups::{GroupsFound, GroupsRange};
use crate::store::rows::history::NicEvent;
use crate::store::rows::percentile::{Percentile, PercentileRange};
use crate::store::rows::series::{ClientRange, NicRange, Series, SeriesRange, StoredMinutes};

#[async_trait]
impl Query for PostgresStore {
    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.lease(clients::clients).await
    }

    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError> {
        self.lease(async |db| series::series(db, range).await).await
    }

    async fn minutes(&self, ranges: &[ClientRange]) -> Result<Vec<StoredMinutes>, StoreError> {
        self.lease(async |db| minutes::minutes(db, ranges).await).await
    }

    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError> {
        self.lease(async |db| series::percentile(db, range).await).await
    }

    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError> {
        self.lease(async |db| mixes::sum(db, range).await).await
    }

    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<NicEvent>, StoreError> {
        self.lease(async |db| history::events(db, range, limit).await).await
    }

    async fn groups(&self, range: &GroupsRange) -> Result<GroupsFound, StoreError> {
        self.lease(async |db| groups::groups(db, range).await).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.lease(async |db| {
            must_be_safe(db, self.database.config()).await?;
            // Fails on a read-only server.
            Ok(db.batch_execute("SELECT one FROM retention FOR UPDATE").await?)
        })
        .await
    }

    fn rest(&self) -> Duration {
        lease::REST
    }
}
