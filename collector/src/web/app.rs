//! State shared by all handlers: the data they show, and turns for queries.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;
use tokio::time::timeout;

use super::access::{Access, Asker, RequestOrigin};
use super::error::ApiError;
use super::limits::{WebLimits, refused};
use super::names::AddressNames;
use super::readiness::Readiness;
use super::session::SignedOut;
use super::throttle::SignInThrottle;
use super::tls::HttpTls;
use super::turns::{NoTurn, Turn, TurnLimits, Turns};
use crate::accounts::AccountBook;
use crate::alerts::AlertRules;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::store::dates::Dates;
use crate::store::{AlertReader, Query, StoreError, TalkersReader};
use crate::writer::StoreState;

/// `Retry-After` of refused requests.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Everything the web server needs.
#[derive(Clone)]
pub struct WebState {
    /// The live view.
    pub live: Live,
    /// Stored figures.
    pub query: Arc<dyn Query>,
    /// Stored talkers.
    pub talkers: StoredTalkers,
    /// Alerts.
    pub alerts: AlertInbox,
    /// The accounts and their statements.
    pub book: AccountBook,
    /// The store's clock.
    pub dates: Dates,
    /// Returns why the writer can't commit, if so.
    pub writer: Arc<dyn Fn() -> StoreState + Send + Sync>,
    /// Returns a notice for people about a working collector, if there is one.
    pub notice: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// Version of the collector.
    pub version: String,
    /// Names besides `localhost` that a collector on a loopback address accepts: those of a reverse
    /// proxy before it.
    pub host_names: Vec<String>,
    /// Who may see figures.
    pub access: Access,
    /// TLS of the pages, if they use it.
    pub tls: Option<HttpTls>,
    /// Sessions of browsers that were signed out.
    pub signed_out: SignedOut,
    /// Limits of simultaneous use and of time.
    pub limits: WebLimits,
}

/// What is shown of talkers.
#[derive(Debug, Clone)]
pub struct StoredTalkers {
    /// Their records.
    pub store: Arc<dyn TalkersReader>,
    /// Names of addresses, if `http.dns` is on.
    pub names: Option<AddressNames>,
}

impl StoredTalkers {
    /// Talkers of a store, with names by the host's resolver if `dns` is true.
    #[must_use]
    pub fn new(store: Arc<dyn TalkersReader>, dns: bool) -> Self {
        Self { store, names: dns.then(AddressNames::of_host) }
    }
}

/// What is shown of alerts.
#[derive(Clone)]
pub struct AlertInbox {
    /// Incidents and silences.
    pub store: Arc<dyn AlertReader>,
    /// Tells the rules in force.
    pub rules: Arc<dyn Fn() -> AlertRules + Send + Sync>,
}

impl fmt::Debug for AlertInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertInbox").field("store", &self.store).finish_non_exhaustive()
    }
}

impl fmt::Debug for WebState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebState")
            .field("query", &self.query)
            .field("version", &self.version)
            .field("host_names", &self.host_names)
            .finish_non_exhaustive()
    }
}

/// State shared by all handlers.
pub(super) struct App {
    pub state: WebState,
    /// Turns for queries.
    pub queries: Turns,
    /// Places for live streams.
    pub streams: Turns,
    /// Caches whether the store is ready.
    pub readiness: Readiness,
    /// Counts wrong tokens.
    pub throttle: Mutex<SignInThrottle>,
    pub stop: watch::Receiver<bool>,
    /// The API described.
    pub document: utoipa::openapi::OpenApi,
}

impl App {
    pub fn new(
        state: WebState,
        stop: watch::Receiver<bool>,
        document: utoipa::openapi::OpenApi,
    ) -> Self {
        let limits = state.limits;
        let queries = Turns::new(TurnLimits {
            running: limits.queries,
            running_each: limits.queries_per_address,
            waiting: limits.queries_waiting,
            waiting_each: limits.queries_waiting_per_address,
            name: "queries",
            name_each: "queries_per_address",
        });
        let streams = Turns::new(TurnLimits {
            running: limits.streams,
            running_each: limits.streams_per_address,
            waiting: 0,
            waiting_each: 0,
            name: "streams",
            name_each: "streams_per_address",
        });
        let throttle = Mutex::new(SignInThrottle::new(&limits));
        Self { state, queries, streams, readiness: Readiness::default(), throttle, stop, document }
    }

    /// Waits for the caller's turn to run a query.
    pub async fn turn(&self, asker: &Asker) -> Result<Turn, ApiError> {
        let turn = self.queries.take(&asker.caller).await;
        turn.map_err(|why| no_turn(why, "too_many_queries", "queries wait already"))
    }

    /// Queries the store, in turn and with a time limit.
    pub async fn ask<T>(
        &self,
        asker: &Asker,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        let limit = self.state.limits.query_time;
        let in_turn = async {
            let turn = self.turn(asker).await?.with_rest(self.state.query.rest());
            let answer = answer.await?;
            turn.end();
            Ok(answer)
        };
        timeout(limit, in_turn).await.unwrap_or_else(|_| {
            refused("query_time");
            let message = format!("the store gave no answer within {limit:?}");
            Err(ApiError::unavailable("store_unavailable", message).after(RETRY))
        })
    }
}

/// Refuses a caller without a turn: too many `what` of one address or in total.
pub(super) fn no_turn(NoTurn { limit, own }: NoTurn, code: &'static str, what: &str) -> ApiError {
    refused(limit);
    if own {
        let message = format!("too many {what} from your address (http.limits.{limit})");
        ApiError::too_many(code, message, RETRY)
    } else {
        let message = format!("too many {what} (http.limits.{limit})");
        ApiError::unavailable(code, message).after(RETRY)
    }
}

impl FromRequestParts<Arc<App>> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let RequestOrigin(peer) = RequestOrigin::from_request_parts(parts, app).await?;
        Ok(app.state.access.rule().asker(&parts.headers, peer.ip()))
    }
}

/// Waits until `stop` is true or its sender is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _gone = stop.wait_for(|&stop| stop).await;
}
