//! `/api/v1/accounts`: what accounts used in their cycles.

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use settings::InFull;
use utoipa::{IntoParams, ToSchema};
use wire::WallNs;

use super::access::Asker;
use super::app::{App, RETRY};
use super::cache::Answer;
use super::error::ApiError;
use super::params::Params;
use crate::accounts::{AccountBook, AccountName, BillError, BookError, CycleName, Statement, csv};
use crate::store::FIVE_MINUTES_NS;
use crate::time::boot;

/// Which statements are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountsParams {
    /// Only this account. Default: all, for their running cycles.
    #[param(min_length = 1)]
    account: Option<String>,
    /// For this cycle of the account, by the month in which it begins, as 2026-11. Default: the running
    /// one.
    #[param(min_length = 7)]
    cycle: Option<String>,
    /// `json`, or `csv` with a line for each statement. Default: json.
    #[param(inline)]
    format: Option<StatementFormat>,
}

/// How statements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatementFormat {
    Json,
    Csv,
}

/// Statements, by account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountsView {
    accounts: Vec<Statement>,
}

/// What accounts used in their cycles
#[utoipa::path(
    get, path = "/api/v1/accounts", tag = "accounts", params(AccountsParams),
    responses(
        (status = 200, description = "Statements; those of running cycles are renewed every minute",
            content((AccountsView = "application/json"), (String = "text/csv"))),
        ApiError
    )
)]
pub(super) async fn accounts(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<AccountsParams>,
) -> Result<Response, ApiError> {
    let statements = match (params.account, params.cycle) {
        (None, None) => app.state.book.latest().to_vec(),
        (None, Some(_)) => return Err(ApiError::bad_parameter("cycle needs account beside it")),
        (Some(account), cycle) => {
            let account: AccountName = parsed(&account)?;
            let cycle: Option<CycleName> = cycle.as_deref().map(parsed).transpose()?;
            let now_ns = store_now(&app)?;
            let book = &app.state.book;
            vec![match of_last_round(book, &account, cycle, now_ns) {
                Some(statement) => statement,
                None => answered(&app, &asker, book.statement(&account, cycle, now_ns)).await?,
            }]
        }
    };
    Ok(written(statements, params.format))
}

/// Which account's frozen cycles are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CyclesParams {
    /// The account.
    #[param(min_length = 1)]
    account: String,
    /// `json`, or `csv` with a line for each statement. Default: json.
    #[param(inline)]
    format: Option<StatementFormat>,
}

/// The frozen cycles of an account, newest first
#[utoipa::path(
    get, path = "/api/v1/accounts/cycles", tag = "accounts", params(CyclesParams),
    responses(
        (status = 200, description = "Statements as they were frozen",
            content((AccountsView = "application/json"), (String = "text/csv"))),
        ApiError
    )
)]
pub(super) async fn cycles(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<CyclesParams>,
) -> Result<Response, ApiError> {
    let account: AccountName = parsed(&params.account)?;
    let frozen = answered(&app, &asker, app.state.book.frozen(&account)).await?;
    Ok(written(frozen, params.format))
}

/// Which cycle's evidence is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceParams {
    /// The account.
    #[param(min_length = 1)]
    account: String,
    /// The cycle, by the month in which it begins, as 2026-11.
    #[param(min_length = 7)]
    cycle: String,
}

/// What an account's cycle is made of: its 5-minute intervals, all NICs together, and long gaps
#[utoipa::path(
    get, path = "/api/v1/accounts/evidence", tag = "accounts", params(EvidenceParams),
    responses(
        (status = 200, description = "CSV: of a frozen cycle as it was then, else as it is now",
            body = String, content_type = "text/csv"),
        ApiError
    )
)]
pub(super) async fn evidence(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<EvidenceParams>,
) -> Result<Response, ApiError> {
    let (account, cycle) = (parsed(&params.account)?, parsed(&params.cycle)?);
    let evidence = app.state.book.evidence(&account, cycle, store_now(&app)?);
    let evidence = answered(&app, &asker, evidence).await?;
    Ok(([(CONTENT_TYPE, CSV)], evidence).into_response())
}

const CSV: &str = "text/csv; charset=utf-8";

/// The time by the store's clock: a wall clock that was stepped begins no cycle.
fn store_now(app: &App) -> Result<WallNs, ApiError> {
    app.state.dates.store_ns(boot()).ok_or_else(|| {
        let message = "the store's clock is not known yet; try again in a second";
        ApiError::unavailable("store_unavailable", message).after(RETRY)
    })
}

/// The last round's statement of an account, if metering it now would tell the same but for the samples
/// since: of the running cycle, by the config in force, and younger than an interval of the sums.
fn of_last_round(
    book: &AccountBook,
    name: &AccountName,
    cycle: Option<CycleName>,
    now_ns: WallNs,
) -> Option<Statement> {
    let accounts = book.accounts();
    let account = accounts.iter().find(|account| account.name == *name)?;
    let running = account.schedule.cycle_at(now_ns).name;
    if cycle.is_some_and(|cycle| cycle != running) {
        return None;
    }
    let latest = book.latest();
    let told = latest.iter().find(|it| it.account == name.as_str() && it.cycle == running)?;
    let fresh = told.as_of.0.saturating_add(FIVE_MINUTES_NS) > now_ns;
    fresh.then(|| told.clone())
}

fn written(statements: Vec<Statement>, format: Option<StatementFormat>) -> Response {
    match format {
        Some(StatementFormat::Csv) => ([(CONTENT_TYPE, CSV)], csv(&statements)).into_response(),
        Some(StatementFormat::Json) | None => {
            Answer(AccountsView { accounts: statements }).into_response()
        }
    }
}

/// What the book answers, in turn and in time.
async fn answered<T>(
    app: &App,
    asker: &Asker,
    answer: impl Future<Output = Result<T, BookError>>,
) -> Result<T, ApiError> {
    let asked = async {
        match answer.await {
            Err(BookError::Bill(BillError::Store(error))) => Err(error),
            other => Ok(other),
        }
    };
    let found: Result<T, BookError> = app.ask(asker, asked).await?;
    found.map_err(|error| {
        let message = error.in_full().to_string();
        match error {
            BookError::NoSuchAccount(_) => ApiError::not_found("no_such_account", message),
            BookError::Bill(BillError::Unreadable(_)) => ApiError::internal(message),
            BookError::Bill(_) => ApiError::not_found("no_such_cycle", message),
        }
    })
}

fn parsed<T: FromStr<Err: Error + 'static>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: T::Err| ApiError::bad_parameter(error.in_full().to_string()))
}
