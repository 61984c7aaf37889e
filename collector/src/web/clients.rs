//! `/api/v1/clients`: every client that the store knows, and whether it is connected.

use std::fmt::Write;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use wire::id::ClientId;
use wire::message::Nic;

use super::App;
use super::error::ApiError;
use crate::live::HostView;
use crate::store::query::Client;
use crate::time::Time;

#[derive(Debug, Serialize)]
pub(super) struct ClientsView {
    clients: Vec<ClientView>,
}

#[derive(Debug, Serialize)]
struct ClientView {
    client: String,
    alias: String,
    up: bool,
    created: Time,
    last_seen: Time,
    clock_offset_ns: Option<i64>,
    host: HostView,
    nics: Vec<NicView>,
}

#[derive(Debug, Serialize)]
struct NicView {
    nic: String,
    index: u32,
    mac: String,
    mtu_bytes: u32,
    speed_bits_per_second: u64,
    kind: String,
    up: bool,
    stacked: bool,
}

impl From<Nic> for NicView {
    fn from(nic: Nic) -> Self {
        let Nic { name, index, mac, mtu, speed_bits, kind, up, stacked } = nic;
        let mut text = String::new();
        for (position, byte) in mac.iter().enumerate() {
            let colon = if position == 0 { "" } else { ":" };
            // Writing to a string can't fail.
            let _always = write!(text, "{colon}{byte:02x}");
        }
        Self {
            nic: name.to_string(),
            index,
            mac: text,
            mtu_bytes: mtu,
            speed_bits_per_second: speed_bits,
            kind,
            up,
            stacked,
        }
    }
}

pub(super) async fn clients(State(app): State<Arc<App>>) -> Result<Json<ClientsView>, ApiError> {
    let known = app.ask(app.state.query.clients()).await?;
    Ok(Json(ClientsView { clients: known.into_iter().map(|client| view(&app, client)).collect() }))
}

/// A client of the store; what the live table knows of it is newer.
fn view(app: &App, client: Client) -> ClientView {
    let live = ClientId::new(&client.client).ok().and_then(|id| app.state.live.client(&id));
    let last_seen = Time(client.last_seen_ns);
    ClientView {
        up: live.as_ref().is_some_and(|live| live.up),
        last_seen: live.as_ref().map_or(last_seen, |live| live.last_seen.max(last_seen)),
        clock_offset_ns: live.and_then(|live| live.clock_offset_ns).or(client.clock_offset_ns),
        client: client.client,
        alias: client.alias,
        created: Time(client.created_ns),
        host: (&client.host).into(),
        nics: client.nics.into_iter().map(NicView::from).collect(),
    }
}
