//! `/api/v1/clients`: the clients that the store knows, and whether they are connected.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::id::ClientId;
use wire::message::{Nic, link_speed};
use wire::tag::TagSet;

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, tags, within};
use crate::live::{HostView, SecondHostView};
use crate::store::Client;
use crate::time::Time;

/// Default and largest number of clients on a page.
const LIMIT: u32 = 1000;
const LIMIT_MAX: u32 = 10_000;

/// The clients and the page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientsParams {
    /// Only clients whose id or alias contains this text, ignoring case.
    search: Option<String>,
    /// Only clients with all of these tags, separated by commas: `site=ams,role=cache`.
    tag: Option<String>,
    /// Only clients whose id sorts after this one: `next` of the previous page.
    after: Option<String>,
    /// Most clients in the answer. Default: 1000.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
}

/// Clients, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientsView {
    clients: Vec<StoredClientView>,
    /// The value of `after` for the next page, if there is one.
    next: Option<String>,
    /// Number of clients on all pages.
    total: usize,
}

/// A client as the store knows it.
#[derive(Debug, Serialize, ToSchema)]
struct StoredClientView {
    /// The client's id.
    client: String,
    /// The alias that its operator chose.
    alias: String,
    /// True while the client is connected to this collector or another one with the same store.
    up: bool,
    /// Time of its first connection.
    created: Time,
    /// Time of the last message from it.
    last_seen: Time,
    /// How far its clock is ahead of the collector's, nanoseconds.
    clock_offset_ns: Option<i64>,
    /// A second host that used the same certificate within the last half hour.
    second_host: Option<Box<SecondHostView>>,
    /// Its tags by key, those of the collector before the agent's.
    #[schema(value_type = BTreeMap<String, String>)]
    tags: TagSet,
    /// Facts about its host.
    host: HostView,
    /// Its NICs, as in its newest inventory.
    nics: Vec<StoredNicView>,
}

/// A NIC as the store knows it.
#[derive(Debug, Serialize, ToSchema)]
struct StoredNicView {
    /// The NIC's name.
    nic: String,
    /// Its interface index.
    index: u32,
    /// Its MAC address.
    mac: String,
    /// MTU: the largest IP packet that it sends, bytes.
    mtu_bytes: u32,
    /// Link speed, bits per second; 0 if unknown, and for virtual NICs, whose speed is only nominal.
    speed_bits_per_second: u64,
    /// The kind of NIC: `physical`, `bond` and so on.
    kind: String,
    /// True if the link is up.
    up: bool,
    /// True if another captured NIC carries the same bytes, so that this one is not part of the host's
    /// total.
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

/// Clients known to the store
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
    let wanted = tags(params.tag.as_deref())?;
    let mut known = app.ask(&asker, app.state.query.clients()).await?;
    if let Some(search) = params.search.map(|search| search.to_lowercase()) {
        let found = |text: &str| text.to_lowercase().contains(&search);
        known.retain(|known| found(&known.client) || found(&known.alias));
    }
    if !wanted.is_empty() {
        let tags = app.state.live.tags();
        known.retain(|known| tags.get(&known.client).is_some_and(|it| it.has_all(&wanted)));
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

/// A client from the store, with newer facts from the live table.
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
        second_host: live.as_ref().and_then(|live| live.second_host.clone()),
        tags: live.map_or_else(TagSet::default, |live| live.tags),
        client: client.client,
        alias: client.alias,
        created: Time(client.created_ns),
        host: (&client.host).into(),
        nics: client.nics.into_iter().map(StoredNicView::from).collect(),
    }
}
