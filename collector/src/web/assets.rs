//! The page's files, embedded in the program; `build.rs` lists them.

use axum::Router;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, VARY,
};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::cache::etag;

/// A file and its path.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    content: &'static [u8],
    /// The same compressed; empty if there is none.
    gzip: &'static [u8],
}

const ASSETS: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Routes to every file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // The page keeps what it shows behind the #; a path of its own leads there.
    let accounts = get(|| std::future::ready(Redirect::permanent("./#/accounts")));
    ASSETS.iter().fold(Router::new().route("/accounts", accounts), |router, asset| {
        let etag = etag(asset.content);
        let path = if asset.path == "/index.html" { "/" } else { asset.path };
        router.route(
            path,
            get(move |headers: HeaderMap| std::future::ready(answer(asset, &etag, &headers))),
        )
    })
}

/// Returns the file, compressed if the client accepts that.
fn answer(asset: &Asset, etag: &str, headers: &HeaderMap) -> Response {
    // A name under `assets` changes with its content. Clients revalidate all others each time, so that
    // an update shows at once.
    let hashed = asset.path.starts_with("/assets/");
    let caching = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let caching = [(CACHE_CONTROL, caching), (ETAG, etag), (VARY, "accept-encoding")];
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok());
    let gzip = accepted.is_some_and(|accepted| {
        accepted.split(',').any(|coding| matches!(coding.trim(), "gzip" | "gzip;q=1.0"))
    });
    let media_type = [(CONTENT_TYPE, media_type(asset.path))];
    if gzip && !asset.gzip.is_empty() {
        (caching, media_type, [(CONTENT_ENCODING, "gzip")], asset.gzip).into_response()
    } else {
        (caching, media_type, asset.content).into_response()
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
