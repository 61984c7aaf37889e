//! `/api/v1/session`: signing a browser in and out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use settings::InFull;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::access::{Asker, Rule, is_token, sessions};
use super::app::App;
use super::error::ApiError;
use super::guard::Encrypted;
use super::session::{COOKIE, WebSession};
use crate::audit;
use crate::time::now_ns;

/// The token.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    token: String,
}

/// The cookie, valid for `seconds`. Without a path it applies to everything beside this one, also below
/// a proxy's path.
fn set_cookie(value: &str, seconds: u64, Encrypted(encrypted): Encrypted) -> String {
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// Signs a browser in with the token, which it need not keep: it gets a cookie
#[utoipa::path(
    post, path = "/api/v1/session", tag = "access", request_body = SignIn,
    responses((status = 204, description = "Signed in, or no sign-in is needed"), ApiError)
)]
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    asker: Asker,
    encrypted: Encrypted,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(SignIn { token: presented }) =
        body.map_err(|rejection| ApiError::bad_parameter(rejection.body_text()))?;
    let rule = app.state.access.rule();
    let Some(token) = &rule.token else {
        let refused = || ApiError::new(StatusCode::UNAUTHORIZED, "no_token", "no token is set");
        return if rule.asks_nobody() {
            Ok(StatusCode::NO_CONTENT.into_response())
        } else {
            Err(refused())
        };
    };
    app.judge(&asker, is_token(token, &presented))?;
    let session = WebSession::begin(now_ns() / 1_000_000_000);
    let session = session.map_err(|error| ApiError::internal(error.in_full().to_string()))?;
    audit::signed_in(asker.address);
    let cookie = set_cookie(&session.cookie(token), rule.session_time.as_secs(), encrypted);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// Signs a browser out: its session holds no more, wherever its cookie may have got to
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "access",
    responses((status = 204, description = "Signed out, or was not signed in"), ApiError)
)]
pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    asker: Asker,
    encrypted: Encrypted,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let rule = app.state.access.rule();
    let ended = held(&app, &rule, &headers);
    if !ended.is_empty() {
        let signed_out = app.state.signed_out.clone();
        let (now_s, lasts) = (now_ns() / 1_000_000_000, rule.session_time);
        // It writes a file, so don't block a thread that serves others.
        let keep = move || signed_out.add(ended, now_s, lasts);
        spawn_blocking(keep).await?;
        audit::signed_out(asker.address);
    }
    let cookie = set_cookie("", 0, encrypted);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// The valid sessions of a request.
fn held(app: &App, rule: &Rule, headers: &HeaderMap) -> Vec<WebSession> {
    let sessions = rule.token.iter().flat_map(|token| sessions(token, headers));
    sessions.filter(|session| app.holds(*session, rule)).collect()
}

/// Whether a browser is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    /// It is, with the token; a proxy or nobody may let it in too.
    signed_in: bool,
}

/// Whether this browser is signed in
#[utoipa::path(
    get, path = "/api/v1/session", tag = "access",
    responses((status = 200, description = "Whether it is", body = SessionView), ApiError)
)]
pub(super) async fn session(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<SessionView> {
    let rule = app.state.access.rule();
    Json(SessionView { signed_in: !held(&app, &rule, &headers).is_empty() })
}
