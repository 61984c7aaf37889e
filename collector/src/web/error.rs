//! Errors of the API: one shape, `{"error": {"code", "message"}}`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use settings::InFull;
use tokio::task::JoinError;
use utoipa::openapi::response::{Response as Described, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{IntoResponses, ToSchema};

use crate::store::StoreError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds until the request may be retried.
    retry_after: Option<u64>,
}

/// What every failed request is answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorView {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// For programs: stays the same.
    #[schema(example = "bad_parameter")]
    code: &'static str,
    /// For people: what is wrong and what to do.
    message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// A parameter that is missing, unknown or wrong.
    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
    }

    /// Something that is not there.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Something that may be there later.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// Too much of something that one asks for; there is room for more after a while.
    pub fn too_many(code: &'static str, message: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message).after(wait)
    }

    /// The same, to be tried again after a while.
    pub fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    /// A host name that the collector doesn't accept.
    pub fn host_not_allowed() -> Self {
        let message = "this collector doesn't answer to this host name; use localhost or its \
                       address, or add the name to http.names";
        Self::new(StatusCode::FORBIDDEN, "host_not_allowed", message)
    }

    /// A bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = error.in_full().to_string();
        match error {
            StoreError::Groups(_) => Self::bad_parameter(message),
            _ => Self::unavailable("store_unavailable", message),
        }
    }
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        Self::internal(error.in_full().to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after } = self;
        let view = ErrorView { error: ErrorDetail { code, message } };
        let mut response = (status, Json(view)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponses for ApiError {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let described = |(status, description): (&str, &str)| {
            let view = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorView")));
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", view.build());
            (status.to_owned(), RefOr::T(response.build()))
        };
        [
            ("400", "A parameter is missing, unknown or wrong"),
            ("401", "A token is needed"),
            ("403", "Wrong host name, or a request from a page of another site"),
            ("404", "There is no such client or NIC"),
            ("429", "Too much at once from one address: retry after `Retry-After` seconds"),
            ("503", "The store doesn't answer, or too many requests or streams are open"),
        ]
        .map(described)
        .into()
    }
}
