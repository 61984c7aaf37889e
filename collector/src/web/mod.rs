//! The web side: the page, the JSON API, live updates, `/metrics` and health checks.
#![allow(unused_qualifications, reason = "what utoipa writes")]

mod access;
mod activity;
mod assets;
mod cache;
mod caller;
mod clients;
mod error;
mod events;
mod guard;
mod limits;
mod live;
mod mix;
mod openapi;
mod params;
mod percentile;
mod places;
mod readiness;
mod series;
mod server;
mod session;
mod sign_in;
mod throttle;
mod tls;
mod turns;
mod watched;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{Extensions, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::access::Access;
use self::access::Asker;
use self::cache::Answer;
use self::error::ApiError;
use self::guard::Hosts;
pub use self::limits::Limits;
use self::limits::{refused, start_counters};
use self::readiness::Readiness;
pub use self::session::SignedOut;
use self::throttle::Throttle;
pub use self::tls::{CertificateFiles, HttpTls, TlsError, own_client};
use self::turns::{NoTurn, Turn, TurnLimits, Turns};
use crate::live::Live;
use crate::metrics::{self, Metrics};
use crate::store::StoreError;
use crate::store::query::Query;
use crate::time::now_ns;
use crate::writer::StoreState;

/// How often pages are told what changed.
const PUBLISH: Duration = Duration::from_millis(250);

/// After how long it may be tried again where too much is asked for.
const RETRY: Duration = Duration::from_secs(1);

/// How often the certificate's files are read again, as those of agents are.
const RENEWAL: Duration = Duration::from_secs(3600);

/// Most bytes of a body.
const BODY_MAX: usize = 16 << 10;

/// What the web side shows.
#[derive(Clone)]
pub struct WebState {
    /// What is going on this moment.
    pub live: Live,
    /// What was.
    pub query: Arc<dyn Query>,
    /// Tells why the writer can't commit, if it can't.
    pub writer: Arc<dyn Fn() -> StoreState + Send + Sync>,
    /// Tells what people should know of a collector that works, if there is anything.
    pub notice: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// Version of the collector.
    pub version: String,
    /// Names besides `localhost` under which a collector on a loopback address answers: those of
    /// a reverse proxy before it.
    pub host_names: Vec<String>,
    /// Who may see figures.
    pub access: Access,
    /// What pages are encrypted by, if they are.
    pub tls: Option<HttpTls>,
    /// Sessions of browsers that were signed out.
    pub signed_out: SignedOut,
    /// How much may be in use at once, and for how long.
    pub limits: Limits,
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

/// What every handler gets.
struct App {
    state: WebState,
    /// Whose query is next.
    queries: Turns,
    /// Places for live streams.
    streams: Turns,
    /// Whether the store is ready, as far as it was asked.
    readiness: Readiness,
    /// How often wrong tokens were tried.
    throttle: Mutex<Throttle>,
    stop: watch::Receiver<bool>,
    /// The API described.
    document: utoipa::openapi::OpenApi,
}

impl App {
    fn new(
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
        let throttle = Mutex::new(Throttle::new(&limits));
        Self { state, queries, streams, readiness: Readiness::default(), throttle, stop, document }
    }

    /// Waits for somebody's turn to ask for what takes a while.
    async fn turn(&self, asker: &Asker) -> Result<Turn, ApiError> {
        let turn = self.queries.take(&asker.caller).await;
        turn.map_err(|why| no_turn(why, "too_many_queries", "queries wait already"))
    }

    /// Asks the store, in turn, but not for ever.
    async fn ask<T>(
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

/// There is no turn: too many `what` of one address, or in all.
fn no_turn(NoTurn { limit, own }: NoTurn, code: &'static str, what: &str) -> ApiError {
    refused(limit);
    if own {
        let message = format!("too many {what} from your address (http.limits.{limit})");
        ApiError::too_many(code, message, RETRY)
    } else {
        let message = format!("too many {what} (http.limits.{limit})");
        ApiError::unavailable(code, message).after(RETRY)
    }
}

/// Serves the web side until `stop` is true or its sender is gone; then open requests and live
/// streams end within 2 s. Meanwhile it lets clients that are gone disappear from the live table.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(
    listener: TcpListener,
    state: WebState,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let hosts = Arc::new(Hosts::new(listener.local_addr()?, &state.host_names));
    let live = state.live.clone();
    let (access, limits) = (state.access.clone(), state.limits);
    let tls = state.tls.clone();
    let (open, mut document) = open_api().split_for_parts();
    let (api, closed) = api().split_for_parts();
    document.merge(closed);
    start_counters();
    let app = Arc::new(App::new(state, stop.clone(), document));
    let router = router(open, api, app, hosts);
    tokio::select! {
        () = server::serve(listener, router, tls.clone(), access, limits, stop) => {}
        () = renew(tls) => {}
        () = keep_current(live) => {}
    }
    Ok(())
}

/// Puts a certificate to use that was renewed, for ever.
async fn renew(tls: Option<HttpTls>) {
    let mut ticks = interval(RENEWAL);
    // The first one is at once, and the files were just read.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        tls.iter().for_each(HttpTls::renew);
    }
}

/// Tells pages what changed, and lets what is gone disappear, for ever.
async fn keep_current(live: Live) {
    let mut ticks = interval(PUBLISH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = live.clone();
        // With thousands of clients it takes a while: not on a thread that serves others.
        let told = spawn_blocking(move || {
            live.expire(now_ns());
            live.publish(now_ns());
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "pages could not be told what changed");
        }
    }
}

/// Waits until `stop` is true or its sender is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _gone = stop.wait_for(|&stop| stop).await;
}

/// The API that only those may use who may see figures. What is routed here describes itself.
fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(clients::clients))
        .routes(routes!(series::series))
        .routes(routes!(mix::mix))
        .routes(routes!(percentile::percentile))
        .routes(routes!(events::events))
        .routes(routes!(live::live))
        .routes(routes!(version))
}

/// The API for everybody.
fn open_api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::Api::openapi())
        .routes(routes!(openapi::openapi))
        .routes(routes!(sign_in::session, sign_in::sign_in, sign_in::sign_out))
}

fn router(
    open: Router<Arc<App>>,
    api: Router<Arc<App>>,
    app: Arc<App>,
    hosts: Arc<Hosts>,
) -> Router {
    let access = app.state.access.clone();
    let protect = middleware::from_fn_with_state(app.clone(), access::protect);
    api.route("/metrics", get(prometheus))
        .route_layer(protect)
        // All below are for everybody: they tell nothing of what is measured.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(open)
        .merge(assets::routes())
        // The one body that is read is a token's.
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(cache::revalidate))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(json))
        .layer(middleware::from_fn_with_state((hosts, access), guard::guard))
        .with_state(app)
}

/// What is compressed where the other side takes it. Events of a stream must not wait for more of
/// them, files are compressed as they are built, and `/metrics` is read nearby as a rule.
fn json(status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    status == StatusCode::OK && kind.is_some_and(|kind| kind == "application/json")
}

/// `/metrics`. Text of many clients takes a while to write: not on a thread that serves others.
async fn prometheus(State(app): State<Arc<App>>, asker: Asker) -> Result<Response, ApiError> {
    let turn = app.turn(&asker).await?;
    let render = move || {
        // Also if nobody waits for it any more.
        let _turn = turn;
        app.state.metrics.render(&app.state.live, now_ns())
    };
    let text = spawn_blocking(render).await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// `/readyz`: whether what agents deliver gets into the store and can be read.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let reason = match (app.state.writer)() {
        Some(reason) => Some(reason),
        None => {
            let ask = || {
                let query = app.state.query.clone();
                async move { query.ready().await }
            };
            app.readiness.state(ask).await
        }
    };
    match reason {
        None => {
            let notice = (app.state.notice)().map(|notice| format!("{notice}\n"));
            format!("ready\n{}", notice.unwrap_or_default()).into_response()
        }
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// Which collector this is.
#[derive(Debug, Serialize, ToSchema)]
struct VersionView {
    version: String,
}

/// Version of the collector
#[utoipa::path(
    get, path = "/api/v1/version", tag = "about",
    responses((status = 200, description = "Its version", body = VersionView), ApiError)
)]
async fn version(State(app): State<Arc<App>>) -> Answer<VersionView> {
    Answer(VersionView { version: app.state.version.clone() })
}

async fn not_found() -> ApiError {
    ApiError::not_found("not_found", "there is nothing under this path")
}

async fn not_allowed() -> ApiError {
    let message = "this path does not take this method";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
