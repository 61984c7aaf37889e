//! The files of the page, part of the program.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file, its path and its media type.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ASSETS: [Asset; 8] = [
    Asset::new("/", HTML, include_str!("../../web/index.html")),
    Asset::new("/assets/style.css", CSS, include_str!("../../web/style.css")),
    Asset::new("/assets/icon.svg", SVG, include_str!("../../web/icon.svg")),
    Asset::new("/assets/app.js", SCRIPT, include_str!("../../web/app.js")),
    Asset::new("/assets/format.js", SCRIPT, include_str!("../../web/format.js")),
    Asset::new("/assets/history.js", SCRIPT, include_str!("../../web/history.js")),
    Asset::new("/assets/rows.js", SCRIPT, include_str!("../../web/rows.js")),
    Asset::new("/assets/stream.js", SCRIPT, include_str!("../../web/stream.js")),
];

impl Asset {
    const fn new(path: &'static str, media_type: &'static str, content: &'static str) -> Self {
        Self { path, media_type, content }
    }
}

/// Routes to every file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |router, asset| {
        let etag = etag(asset.content);
        router.route(
            asset.path,
            get(move |headers: HeaderMap| std::future::ready(answer(&asset, &etag, &headers))),
        )
    })
}

/// The file, or that the browser has it already: asked each time, so that an update shows at once.
fn answer(asset: &Asset, etag: &str, headers: &HeaderMap) -> Response {
    let caching = [(CACHE_CONTROL, "no-cache"), (ETAG, etag)];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known == etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, asset.media_type)], asset.content).into_response()
}

fn etag(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}
