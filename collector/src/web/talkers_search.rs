//! `/api/v1/talkers/search`: which hosts talked to an address.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::id::ClientId;

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, limits_within, within};
use super::talkers_csv;
use super::talkers_view::{AmountView, FoundView, TalkersFormat};
use crate::store::{TalkerFound, TalkerSearch};
use crate::time::Time;

/// Default range, nanoseconds (a day).
const RANGE_NS: u64 = 86_400_000_000_000;

/// NICs and directions in an answer, by default and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 10_000;

/// The address and the range.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    /// An address, or a prefix.
    #[param(min_length = 2, example = "10.1.0.0/16")]
    address: String,
    /// Start of the range. RFC 3339, or seconds since 1970. Default: a day before `to`. Everything in the
    /// range is looked through, so a long one takes long where there are many clients.
    #[param(value_type = Option<String>, example = "2024-01-01T00:00:00Z")]
    from: Option<Time>,
    /// End of the range. Default: now.
    #[param(value_type = Option<String>, example = "2024-01-02T00:00:00Z")]
    to: Option<Time>,
    /// Most NICs and directions in the answer. Default: 100.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
    /// `json`, or `csv` with a line for each. Default: json.
    #[param(inline)]
    format: Option<TalkersFormat>,
}

/// Who talked to an address, of what is listed: a talker that was none of the largest of its minute is not
/// found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchView {
    /// What was searched for, as it was understood.
    address: String,
    from: Time,
    to: Time,
    /// NICs and directions, the most bytes first.
    found: Vec<FoundView>,
    /// True if there are more.
    truncated: bool,
    /// Number of records of the range that are damaged and may name the address. `collector fsck` says
    /// which.
    unreadable: u64,
}

/// Which hosts talked to an address
#[utoipa::path(
    get, path = "/api/v1/talkers/search", tag = "talkers", params(SearchParams),
    responses(
        (status = 200, description = "NICs of all clients, the most bytes first",
            content((SearchView = "application/json"), (String = "text/csv"))),
        ApiError
    )
)]
pub(super) async fn search(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<SearchParams>,
) -> Result<Response, ApiError> {
    let (address, prefix) = prefix_of(&params.address)?;
    let (from_ns, to_ns) = limits_within(params.from, params.to, RANGE_NS)?;
    let limit = within("limit", params.limit, LIMIT, LIMIT_MAX)?;
    let search = TalkerSearch { address, prefix, from_ns, to_ns, limit };
    let answer = app.ask(&asker, app.state.talkers.store.search_talkers(&search)).await?;
    let view = SearchView {
        address: shown(address, prefix),
        from: Time(from_ns),
        to: Time(to_ns),
        truncated: answer.left_out > 0,
        unreadable: answer.unreadable,
        found: answer.found.into_iter().map(|it| view(&app, it)).collect(),
    };
    Ok(match params.format {
        Some(TalkersFormat::Csv) => talkers_csv::of_search(&view.found),
        Some(TalkersFormat::Json) | None => Answer(view).into_response(),
    })
}

/// What is found, with the alias that is known here.
fn view(app: &App, found: TalkerFound) -> FoundView {
    let live = ClientId::new(&found.client).ok().and_then(|id| app.state.live.client(&id));
    FoundView {
        alias: live.map(|it| it.alias).filter(|alias| !alias.is_empty()),
        client: found.client,
        nic: found.nic,
        direction: found.direction.into(),
        amount: AmountView { bytes: found.bytes, packets: found.packets },
        error_bytes: found.error_bytes,
        records: found.records,
        first: Time(found.first_ns),
        last: Time(found.last_ns),
    }
}

/// Bits of an address.
const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Reads an address or a prefix.
fn prefix_of(text: &str) -> Result<(IpAddr, u8), ApiError> {
    let wrong = || {
        let example = "give an address as 10.1.2.3 or 2001:db8::1, or a prefix as 10.1.0.0/16";
        ApiError::bad_parameter(format!("address: {text:?} is none; {example}"))
    };
    let (address, length) = match text.trim().split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text.trim(), None),
    };
    let given: IpAddr = address.parse().map_err(|_| wrong())?;
    let length: u8 = length.map_or_else(|| Ok(bits(given)), str::parse).map_err(|_| wrong())?;
    if length > bits(given) {
        return Err(wrong());
    }
    // ::ffff:10.1.2.3 is 10.1.2.3.
    let address = given.to_canonical();
    let mapped = bits(given) - bits(address);
    Ok((address, length.checked_sub(mapped).ok_or_else(wrong)?))
}

fn shown(address: IpAddr, prefix: u8) -> String {
    if prefix == bits(address) { address.to_string() } else { format!("{address}/{prefix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_are_read_and_nothing_else() {
        for (text, read) in [
            ("10.1.2.3", "10.1.2.3"),
            (" 10.1.0.0/16 ", "10.1.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.0.0/112", "10.1.0.0/16"),
        ] {
            let (address, prefix) = prefix_of(text).unwrap();
            assert_eq!(shown(address, prefix), read, "{text}");
        }
        for text in
            ["", "10.1.2", "10.1.2.3/33", "::/129", "::1/", "/8", "host", "::ffff:1.2.3.4/8"]
        {
            assert!(prefix_of(text).is_err(), "{text}");
        }
    }
}
