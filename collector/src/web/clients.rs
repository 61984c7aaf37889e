//! `/api/v1/clients`: the clients that the store knows, and whether they are connected.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::id::ClientId;
use wire::message::Nic;

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, within};
use crate::live::{HostView, SecondHostView, link_speed};
use crate::store::Client;
use crate::time::Time;

/// Clients on a page where no number is asked for, and at most.
const LIMIT: u32 = 1000;
const LIMIT_MAX: u32 = 10_000;

/// Which clients are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientsParams {
    /// Only clients whose id or alias has this text in it, in whatever case.
    search: Option<String>,
    /// Only clients whose id comes after this one: `next` of the page before.
    after: Option<String>,
    /// Most clients to give. Default: 1000.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
}

/// Clients, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientsView {
    clients: Vec<StoredClientView>,
    /// If there are more: what to give as `after` to get them.
    next: Option<String>,
    /// How many there are on all pages.
    total: usize,
}

/// A client as the store knows it.
#[derive(Debug, Serialize, ToSchema)]
struct StoredClientView {
    /// Its id.
    client: String,
    /// What its operator calls it.
    alias: String,
    /// True while it is connected, to this collector or another of the same store.
    up: bool,
    /// When it first connected.
    created: Time,
    /// When it was last heard from.
    last_seen: Time,
    /// By how much its clock is ahead of the collector's, nanoseconds.
    clock_offset_ns: Option<i64>,
    /// The second host under its certificate, if there was one within half an hour.
    second_host: Option<Box<SecondHostView>>,
    /// Facts about its host.
    host: HostView,
    /// Its NICs, from its newest inventory.
    nics: Vec<StoredNicView>,
}

/// A NIC as the store knows it.
#[derive(Debug, Serialize, ToSchema)]
struct StoredNicView {
    /// Its name.
    nic: String,
    /// Its interface index.
    index: u32,
    /// Its MAC address.
    mac: String,
    /// Largest IP packet it sends.
    mtu_bytes: u32,
    /// Link speed, 0 where unknown, and of virtual NICs, whose speed is nominal.
    speed_bits_per_second: u64,
    /// What it is: `physical`, `bond`, ...
    kind: String,
    /// Operationally up.
    up: bool,
    /// Not part of a host's total: another NIC carries the same bytes.
    stacked: bool,
}

impl From<Nic> for StoredNicView {
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
            speed_bits_per_second: link_speed(&kind, speed_bits),
            kind,
            up,
            stacked,
        }
    }
}

/// The clients that the store knows
#[utoipa::path(
    get, path = "/api/v1/clients", tag = "clients", params(ClientsParams),
    responses((status = 200, description = "A page of clients, by id", body = ClientsView),
              ApiError)
)]
pub(super) async fn clients(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<ClientsParams>,
) -> Result<Answer<ClientsView>, ApiError> {
    let limit = within("limit", params.limit, LIMIT, LIMIT_MAX)?;
    let mut known = app.ask(&asker, app.state.query.clients()).await?;
    if let Some(search) = params.search.map(|search| search.to_lowercase()) {
        let found = |text: &str| text.to_lowercase().contains(&search);
        known.retain(|known| found(&known.client) || found(&known.alias));
    }
    let total = known.len();
    if let Some(after) = params.after {
        known.retain(|known| known.client > after);
    }
    let more = known.len() > limit;
    known.truncate(limit);
    let next = known.last().filter(|_| more).map(|last| last.client.clone());
    let clients = known.into_iter().map(|client| view(&app, client)).collect();
    Ok(Answer(ClientsView { clients, next, total }))
}

/// A client of the store; what the live table knows of it is newer.
fn view(app: &App, client: Client) -> StoredClientView {
    let live = ClientId::new(&client.client).ok().and_then(|id| app.state.live.client(&id));
    let last_seen = Time(client.last_seen_ns);
    StoredClientView {
        up: live.as_ref().is_some_and(|live| live.up),
        last_seen: live.as_ref().map_or(last_seen, |live| live.last_seen),
        clock_offset_ns: live
            .as_ref()
            .and_then(|live| live.clock_offset_ns)
            .or(client.clock_offset_ns),
        second_host: live.and_then(|live| live.second_host),
        client: client.client,
        alias: client.alias,
        created: Time(client.created_ns),
        host: (&client.host).into(),
        nics: client.nics.into_iter().map(StoredNicView::from).collect(),
    }
}
