//! Query parameters: parsing, errors, and time ranges.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use settings::InFull;
use utoipa::IntoParams;
use wire::WallNs;
use wire::tag::{Tag, TagError};

use super::error::ApiError;
use crate::store::NicRange;
use crate::time::{Time, now_ns};

/// Default range, nanoseconds (5 minutes).
const RANGE_NS: u64 = 300_000_000_000;

/// The parameters of a query. Unknown, missing and invalid ones cause an [`ApiError`].
#[derive(Debug)]
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        use std::error::Error as _;
        let Query(params) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            let cause = rejection.source().map(ToString::to_string);
            ApiError::bad_parameter(cause.unwrap_or_else(|| rejection.to_string()))
        })?;
        Ok(Self(params))
    }
}

/// A NIC and a range of time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NicParams {
    /// The client's id.
    #[param(min_length = 1)]
    client: String,
    /// The NIC's name.
    #[param(min_length = 1)]
    nic: String,
    /// Excludes intervals that start earlier. RFC 3339, or seconds since 1970. Default: 5 minutes
    /// before `to`.
    from: Option<Time>,
    /// Excludes intervals that start at this time or later. Default: now.
    to: Option<Time>,
}

impl NicParams {
    pub fn range(self) -> Result<NicRange, ApiError> {
        let (from_ns, to_ns) = limits(self.from, self.to)?;
        let client = given("client", self.client)?;
        Ok(NicRange { client, nic: given("nic", self.nic)?, from_ns, to_ns })
    }
}

/// Bounds of a time range, nanoseconds since 1970 (UTC).
pub(super) fn limits(from: Option<Time>, to: Option<Time>) -> Result<(WallNs, WallNs), ApiError> {
    limits_within(from, to, RANGE_NS)
}

/// Bounds of a time range. By default it begins `default_ns` before its end.
pub(super) fn limits_within(
    from: Option<Time>,
    to: Option<Time>,
    default_ns: u64,
) -> Result<(WallNs, WallNs), ApiError> {
    let to = to.unwrap_or_else(|| Time(now_ns()));
    let from = from.unwrap_or_else(|| Time(to.0.saturating_sub(default_ns)));
    if from >= to {
        return Err(ApiError::bad_parameter(format!("from ({from}) must be before to ({to})")));
    }
    Ok((from.0, to.0))
}

/// Checks that a name is not empty and has no NUL, which databases refuse.
pub(super) fn given(name: &str, value: String) -> Result<String, ApiError> {
    if value.is_empty() || value.contains('\0') {
        return Err(ApiError::bad_parameter(format!("{name} is empty or has a NUL in it")));
    }
    Ok(value)
}

/// Tags that a client must have: `site=ams,role=cache`.
pub(super) fn tags(list: Option<&str>) -> Result<Vec<Tag>, ApiError> {
    let tags = list.into_iter().flat_map(|list| list.split(',')).map(str::parse);
    let tags: Result<Vec<Tag>, TagError> = tags.collect();
    tags.map_err(|error| ApiError::bad_parameter(format!("tag: {}", error.in_full())))
}

/// Checks that a number is within bounds.
pub(super) fn within(
    name: &str,
    value: Option<u32>,
    default: u32,
    max: u32,
) -> Result<usize, ApiError> {
    let value = value.unwrap_or(default);
    if !(1..=max).contains(&value) {
        return Err(ApiError::bad_parameter(format!("{name}={value}; 1 to {max} are allowed")));
    }
    Ok(value as usize)
}
