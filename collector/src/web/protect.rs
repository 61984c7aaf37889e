//! Lets authorized callers in.

use std::sync::{Arc, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::access::{Asker, Credential, RequestOrigin, Rule};
use super::app::App;
use super::error::ApiError;
use super::guard::Named;
use super::limits::refused;
use super::session::WebSession;
use super::throttle::TokenVerdict;
use crate::audit;
use crate::time::{boot, now_ns};

/// Middleware: passes authorized requests.
pub(super) async fn protect(
    State(app): State<Arc<App>>,
    RequestOrigin(peer): RequestOrigin,
    Named(named): Named,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let rule = app.state.access.rule();
    let claim = rule.claim(request.headers(), peer.ip(), |session| app.holds(session, &rule));
    match claim {
        Credential::Open | Credential::Session => {}
        Credential::User if named => {}
        Credential::User => {
            refused("host");
            return Err(ApiError::host_not_allowed());
        }
        Credential::Token(right) => {
            app.judge(&rule.asker(request.headers(), peer.ip()), right)?;
        }
        Credential::Nothing => {
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token_needed",
                match rule.token {
                    Some(_) => {
                        "send the token of http.token_file as `Authorization: Bearer TOKEN`, or \
                         sign in"
                    }
                    None => "go through the proxy in front of this collector; it signs you in",
                },
            ));
        }
    }
    Ok(next.run(request).await)
}

impl App {
    /// True if a session is still valid.
    pub(super) fn holds(&self, session: WebSession, rule: &Rule) -> bool {
        session.holds(now_ns() / 1_000_000_000, rule.session_time)
            && !self.state.signed_out.has(&session)
    }

    /// Returns the outcome of presenting a token, right or wrong.
    pub(super) fn judge(&self, asker: &Asker, right: bool) -> Result<(), ApiError> {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = throttle.judge(&asker.caller, right, boot());
        drop(throttle);
        match verdict {
            TokenVerdict::Right => Ok(()),
            TokenVerdict::Wrong => {
                audit::sign_in_failed(asker.address, "wrong_token");
                let message = "this is not the token of http.token_file";
                Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong_token", message))
            }
            TokenVerdict::Later(wait, limit) => {
                refused(limit);
                audit::sign_in_failed(asker.address, "too_many");
                let message = "too many wrong tokens were tried; try again later";
                Err(ApiError::too_many("too_many_sign_ins", message, wait))
            }
        }
    }
}
