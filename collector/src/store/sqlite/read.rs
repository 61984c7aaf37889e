//! Reads clients and their NICs' traffic.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::frame::Mix;

use super::lease::Reads;
use super::{groups, history, minutes, query};
use crate::store::port::error::StoreError;
use crate::store::port::read::Query;
use crate::store::rows::clients::Client;
use crate::store::rows::groups::{GroupsFound, GroupsRange};
use crate::store::rows::history::NicEvent;
use crate::store::rows::percentile::{Percentile, PercentileRange};
use crate::store::rows::series::{ClientRange, NicRange, Series, SeriesRange, StoredMinutes};

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Query for T {
    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.readers().lease(|db| query::clients(db)).await
    }

    async fn series(&self, range: &SeriesRange) -> Result<Series, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| query::series(db, &range)).await
    }

    async fn minutes(&self, ranges: &[ClientRange]) -> Result<Vec<StoredMinutes>, StoreError> {
        let ranges = ranges.to_vec();
        self.readers().lease(move |db| minutes::minutes(db, &ranges)).await
    }

    async fn percentile(&self, range: &PercentileRange) -> Result<Percentile, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| query::percentile(db, &range)).await
    }

    async fn mix(&self, range: &NicRange) -> Result<Mix, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| history::mix(db, &range)).await
    }

    async fn events(&self, range: &NicRange, limit: usize) -> Result<Vec<NicEvent>, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| history::events(db, &range, limit)).await
    }

    async fn groups(&self, range: &GroupsRange) -> Result<GroupsFound, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| groups::groups(db, &range)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.check()?;
        self.readers().lease(|db| query::ready(db)).await
    }
}
