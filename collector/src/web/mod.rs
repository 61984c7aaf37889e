//! The web side: the page, the JSON API, live updates, `/metrics` and health checks.
#![allow(unused_qualifications, reason = "what utoipa writes")]

mod access;
mod accounts;
mod activity;
mod alerts;
mod alerts_csv;
mod app;
mod assets;
mod cache;
mod caller;
mod clients;
mod error;
mod events;
mod groups;
mod guard;
mod limits;
mod live;
mod mix;
mod names;
mod openapi;
mod overview;
mod params;
mod percentile;
mod places;
mod protect;
mod readiness;
mod series;
mod server;
mod session;
mod sign_in;
mod talkers;
mod talkers_csv;
mod talkers_search;
mod talkers_view;
mod throttle;
mod tls;
mod turns;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{Extensions, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use serde::Serialize;
use settings::InFull;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::access::Access;
use self::access::Asker;
use self::app::App;
pub use self::app::{AlertInbox, StoredTalkers, WebState};
use self::cache::Answer;
use self::error::ApiError;
use self::guard::Hosts;
pub use self::limits::WebLimits;
use self::limits::start_counters;
pub use self::names::AddressNames;
pub use self::session::SignedOut;
pub use self::tls::{CertificateFiles, HttpTls, TlsError, own_client};
use crate::accounts::exposition;
use crate::live::Live;
use crate::metrics;
use crate::time::now_ns;

/// Interval between updates of pages.
const PUBLISH: Duration = Duration::from_millis(250);

/// Interval between reloads of the certificate's files, as for agents.
const RENEWAL: Duration = Duration::from_secs(3600);

/// Largest request body, bytes.
const BODY_MAX: usize = 16 << 10;

/// Serves the web side until `stop` is true or its sender is gone; then open requests and live streams
/// end within 2 s. Meanwhile removes gone clients and NICs from the live table.
///
/// # Errors
/// The listener has no address.
pub async fn serve(
    listener: TcpListener,
    state: WebState,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let hosts = Arc::new(Hosts::new(listener.local_addr()?, &state.host_names));
    let live = state.live.clone();
    let (access, limits) = (state.access.clone(), state.limits);
    let tls = state.tls.clone();
    let (open, _) = open_api().split_for_parts();
    let (api, _) = api().split_for_parts();
    start_counters();
    let app = Arc::new(App::new(state, stop.clone(), description()));
    let router = router(open, api, app, hosts);
    tokio::select! {
        () = server::serve(listener, router, tls.clone(), access, limits, stop) => {}
        () = renew(tls) => {}
        () = keep_current(live) => {}
    }
    Ok(())
}

/// Applies renewed certificates, without end.
async fn renew(tls: Option<HttpTls>) {
    let mut ticks = interval(RENEWAL);
    // The first tick is immediate, and the files were just read.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        tls.iter().for_each(HttpTls::renew);
    }
}

/// Publishes changes to pages and removes expired entries, without end.
async fn keep_current(live: Live) {
    let mut ticks = interval(PUBLISH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = live.clone();
        // Slow with thousands of clients, so don't block a thread that serves others.
        let told = spawn_blocking(move || {
            live.expire(now_ns());
            live.publish(now_ns());
        });
        if let Err(error) = told.await {
            tracing::error!(error = %error.in_full(), "can't publish changes to pages");
        }
    }
}

/// Routes that require authorization. Each route here adds its own description.
fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(clients::clients))
        .routes(routes!(series::series))
        .routes(routes!(mix::mix))
        .routes(routes!(percentile::percentile))
        .routes(routes!(groups::groups))
        .routes(routes!(accounts::accounts))
        .routes(routes!(accounts::cycles))
        .routes(routes!(accounts::evidence))
        .routes(routes!(alerts::alerts))
        .routes(routes!(alerts::rules))
        .routes(routes!(alerts::silences))
        .routes(routes!(talkers::talkers))
        .routes(routes!(talkers_search::search))
        .routes(routes!(events::events))
        .routes(routes!(live::live))
        .routes(routes!(overview::overview))
        .routes(routes!(version))
}

/// Routes for everybody.
fn open_api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::Api::openapi())
        .routes(routes!(openapi::openapi))
        .routes(routes!(sign_in::session, sign_in::sign_in, sign_in::sign_out))
}

/// The description of the whole API (OpenAPI 3.1).
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    let (_, mut document) = open_api().split_for_parts();
    document.merge(api().split_for_parts().1);
    document
}

fn router(
    open: Router<Arc<App>>,
    api: Router<Arc<App>>,
    app: Arc<App>,
    hosts: Arc<Hosts>,
) -> Router {
    let access = app.state.access.clone();
    let protect = middleware::from_fn_with_state(app.clone(), protect::protect);
    api.route("/metrics", get(prometheus))
        .route_layer(protect)
        // Everything below is public, because it reveals nothing measured.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(open)
        .merge(assets::routes())
        // The only body read is that of a sign-in.
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(cache::revalidate))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(json))
        .layer(middleware::from_fn_with_state((hosts, access), guard::guard))
        .with_state(app)
}

/// Compresses JSON for clients that accept it. Events must not wait in a compressor, files are
/// compressed at build time, and `/metrics` is usually read nearby.
fn json(status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    status == StatusCode::OK && kind.is_some_and(|kind| kind == "application/json")
}

/// `/metrics`. Slow with many clients, so it doesn't block a thread that serves others.
async fn prometheus(State(app): State<Arc<App>>, asker: Asker) -> Result<Response, ApiError> {
    let turn = app.turn(&asker).await?;
    let render = move || {
        // Keep the turn even if nobody waits any more.
        let _turn = turn;
        let text = app.state.metrics.render(&app.state.live, now_ns());
        text + &exposition(&app.state.book.latest())
    };
    let text = spawn_blocking(render).await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// `/readyz`: whether the store can be written and read.
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
