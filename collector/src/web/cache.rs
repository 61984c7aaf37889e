//! Answers that a browser or proxy can reuse.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use settings::InFull;

use super::error::ApiError;

/// An answer in JSON with an ETag.
#[derive(Debug)]
pub(super) struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => {
                let tag = etag(&json);
                let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
                (headers, [(ETAG, tag)], json).into_response()
            }
            Err(error) => ApiError::internal(error.in_full().to_string()).into_response(),
        }
    }
}

/// A tag that changes with the content.
pub(super) fn etag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Answers 304 if the client already has the content.
pub(super) async fn revalidate(request: Request, next: Next) -> Response {
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let mut response = next.run(request).await;
    let tag = response.headers().get(ETAG);
    let same = known.zip(tag).is_some_and(|(known, tag)| names(&known, tag));
    if same && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::empty();
    }
    response
}

/// True if a list of tags contains this one or matches any.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    let mut known = known.split(',').map(|known| known.trim().trim_start_matches("W/"));
    known.any(|known| known == tag || known == "*")
}
