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

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::Params;
use crate::accounts::{AccountName, BillError, BookError, CycleName, Statement, csv};
use crate::time::now_ns;

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
        (status = 200, description = "Statements; those of all accounts are renewed every minute",
            body = AccountsView),
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
        (Some(account), cycle) => vec![statement(&app, &asker, &account, cycle.as_deref()).await?],
    };
    Ok(match params.format {
        Some(StatementFormat::Csv) => {
            ([(CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&statements)).into_response()
        }
        Some(StatementFormat::Json) | None => {
            Answer(AccountsView { accounts: statements }).into_response()
        }
    })
}

async fn statement(
    app: &App,
    asker: &Asker,
    account: &str,
    cycle: Option<&str>,
) -> Result<Statement, ApiError> {
    let account: AccountName = parsed(account)?;
    let cycle: Option<CycleName> = cycle.map(parsed).transpose()?;
    let asked = async {
        match app.state.book.statement(&account, cycle, now_ns()).await {
            Ok(statement) => Ok(Ok(statement)),
            Err(BookError::Bill(BillError::Store(error))) => Err(error),
            Err(other) => Ok(Err(other)),
        }
    };
    let found: Result<Statement, BookError> = app.ask(asker, asked).await?;
    found.map_err(|error| {
        let code = match error {
            BookError::NoSuchAccount(_) => "no_such_account",
            BookError::Bill(_) => "no_such_cycle",
        };
        ApiError::not_found(code, error.in_full().to_string())
    })
}

fn parsed<T: FromStr<Err: Error + 'static>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: T::Err| ApiError::bad_parameter(error.in_full().to_string()))
}
