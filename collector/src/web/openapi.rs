//! `/api/v1/openapi.json`: the API's description, made from the code that serves it.

use std::sync::Arc;

use axum::extract::State;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::app::App;
use super::cache::Answer;
use super::error::ErrorView;

/// The head of the description; routes add themselves.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Network Monitor",
        description = "Traffic of NICs, live and stored. Byte figures are bytes on the wire, from \
                       the MAC header to the end of the payload: without FCS, preamble and \
                       inter-packet gap. A failed request is answered with `ErrorView`.",
        license(name = "MIT", identifier = "MIT")
    ),
    components(schemas(ErrorView)),
    modifiers(&Bearer),
    // Either one: without a configured token none is needed.
    security((), ("token" = []))
)]
pub(super) struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let scheme = scheme.description(Some("The token of http.token_file, if one is set"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// This description
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "about",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(super) async fn openapi(State(app): State<Arc<App>>) -> Answer<Document> {
    Answer(app.document.clone())
}
