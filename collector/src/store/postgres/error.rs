//! PostgreSQL's errors, sorted by SQLSTATE into possible reactions.

use settings::InFull;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use wire::advice::Advised;

use crate::store::port::error::{Cause, StoreError};

/// Why an operation on PostgreSQL failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// For the caller as it is.
    Told(StoreError),
    /// The rows themselves are refused: retrying would change nothing.
    Refused(Cause),
    /// Another transaction interfered: retrying at once helps.
    Raced(Cause),
    /// No connection was available: nothing else would work either.
    Unreachable(Cause),
    /// The database fails or is misconfigured: retrying later may help.
    Failed(Cause),
}

impl Failure {
    /// The caller's error; `location` names the database.
    pub(super) fn into_store_error(self, location: &str) -> StoreError {
        match self {
            Self::Told(error) => error,
            Self::Refused(error) => StoreError::Refused { location: location.to_owned(), error },
            Self::Raced(error) | Self::Unreachable(error) | Self::Failed(error) => {
                StoreError::Failed { location: location.to_owned(), error }
            }
        }
    }

    /// The rows are refused.
    pub(super) fn refused(cause: impl Into<Cause>) -> Self {
        Self::Refused(cause.into())
    }

    /// The database fails.
    pub(super) fn failed(cause: impl Into<Cause>) -> Self {
        Self::Failed(cause.into())
    }

    /// The same as a failure to connect.
    pub(super) fn into_unreachable(self) -> Self {
        Self::Unreachable(self.into_cause())
    }

    /// What the database or its library said.
    pub(super) fn into_cause(self) -> Cause {
        match self {
            Self::Told(error) => error.into(),
            Self::Refused(cause)
            | Self::Raced(cause)
            | Self::Unreachable(cause)
            | Self::Failed(cause) => cause,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let sort = match error.code() {
            Some(code) if is_refusal(code) => Self::Refused,
            Some(code) if is_race(code) => Self::Raced,
            _ => Self::Failed,
        };
        sort(cause(error))
    }
}

/// Data exceptions: the rows are to blame.
fn is_refusal(code: &SqlState) -> bool {
    code.code().starts_with("22")
}

/// Serialization failures, deadlocks, and constraints. Rows never violate constraints by themselves,
/// but a partition may be attached between the choice of the default partition and its use, or dropped
/// after being chosen.
fn is_race(code: &SqlState) -> bool {
    ["23", "40"].iter().any(|class| code.code().starts_with(class))
        || *code == SqlState::UNDEFINED_TABLE
}

/// The server's message and code.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
struct Said {
    message: String,
    code: String,
}

/// An error with the remedy if there is one.
fn cause(error: Error) -> Cause {
    let advised = match error.as_db_error() {
        Some(said) => {
            let (message, code) = (said.message().to_owned(), said.code().code().to_owned());
            Advised::new(Said { message, code }, way_out(said.code()).unwrap_or_default())
        }
        None => {
            let way_out = unsaid_way_out(&error.in_full().to_string()).unwrap_or_default();
            Advised::new(error, way_out)
        }
    };
    advised.into()
}

/// The remedy for errors of the client library.
fn unsaid_way_out(words: &str) -> Option<&'static str> {
    let begins = |with| words.starts_with(with);
    if begins("error connecting to server") {
        Some("start the database, or check database.host and database.port")
    } else if words.contains("password missing") {
        Some("set database.password or database.password_file")
    } else if begins("error performing TLS handshake") {
        Some("check database.ca and the server's certificate")
    } else {
        None
    }
}

fn way_out(code: &SqlState) -> Option<&'static str> {
    Some(match code.code() {
        "28000" | "28P01" => "check database.user and database.password, and pg_hba.conf",
        "3D000" => "create the database, or set database.name",
        "42501" => "GRANT it to database.user, or let that user own the database",
        "42P01" | "42703" => "the schema was changed by hand: restore it",
        "53100" => "free space on the database's file system",
        "55P03" | "57014" => "check pg_stat_activity for what blocks it",
        "53300" => "raise max_connections of the database",
        "25006" => "connect to the primary: this server takes no changes",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rows_own_faults_are_refusals() {
        let sorted = |code| {
            let code = SqlState::from_code(code);
            (is_refusal(&code), is_race(&code))
        };
        for code in ["22003", "22021"] {
            assert_eq!(sorted(code), (true, false), "{code}");
        }
        for code in ["23505", "23514", "40001", "40P01", "42P01"] {
            assert_eq!(sorted(code), (false, true), "{code}");
        }
        for code in ["08006", "28P01", "53100", "55P03", "57014", "57P01"] {
            assert_eq!(sorted(code), (false, false), "{code}");
        }
    }
}
