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

const ASSETS: [Asset; 4] = [
    Asset {
        path: "/",
        media_type: "text/html; charset=utf-8",
        content: include_str!("../../web/index.html"),
    },
    Asset {
        path: "/assets/style.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("../../web/style.css"),
    },
    Asset {
        path: "/assets/app.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("../../web/app.js"),
    },
    Asset {
        path: "/assets/icon.svg",
        media_type: "image/svg+xml",
        content: include_str!("../../web/icon.svg"),
    },
];

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
