//! The database: whether it can be reached, its schema, and what it says of time.

use std::time::{Duration, Instant};

use settings::Finding;
use tokio::time::timeout;

use crate::store::Client;
use crate::store::clock::STEP;
use crate::store::sqlite::OpenError;
use crate::store_location::{StoreLocation, StoreLocationError};
use crate::time::{Time, now_ns, rough};

const SUBJECT: &str = "database";

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// Findings, and the clients that the store knows.
pub(super) async fn examine(location: &StoreLocation) -> (Vec<Finding>, Vec<Client>) {
    let start = Instant::now();
    let asked = timeout(PATIENCE, ask(location)).await;
    let took = start.elapsed();
    let (findings, known) = match asked {
        Ok(Ok(Some(known))) => {
            let clients = known.len();
            let text = format!("{location} answers in {took:.1?}; {clients} clients");
            (vec![Finding::ok(SUBJECT, text)], known)
        }
        Ok(Ok(None)) => {
            let text = format!("{location} has no tables yet; the first start makes them");
            (vec![Finding::ok(SUBJECT, text)], vec![])
        }
        Ok(Err(StoreLocationError::Open(error @ OpenError::Older { .. }))) => {
            (vec![Finding::warn(SUBJECT, error.to_string())], vec![])
        }
        Ok(Err(error)) => (vec![Finding::fail(SUBJECT, error.to_string())], vec![]),
        Err(_) => {
            let text = format!("{location} gives no answer within {PATIENCE:?}");
            (vec![Finding::fail(SUBJECT, format!("{text}; see its log"))], vec![])
        }
    };
    let settings = match location {
        StoreLocation::Postgres(config) if config.is_exposed() => Some(Finding::warn(
            SUBJECT,
            "what is sent to it could be read on the way; write sslmode=require, or set database.ca",
        )),
        _ => None,
    };
    let seen = known.iter().map(|client| client.last_seen_ns).max();
    let clock = seen.and_then(|seen_ns| ahead(seen_ns, now_ns()));
    (findings.into_iter().chain(settings).chain(clock).collect(), known)
}

/// The clients; `None` without tables.
async fn ask(location: &StoreLocation) -> Result<Option<Vec<Client>>, StoreLocationError> {
    if !location.is_used().await? {
        return Ok(None);
    }
    let store = location.open_to_read()?;
    store.ready().await?;
    Ok(Some(store.clients().await?))
}

/// A client that was seen in the future.
fn ahead(seen_ns: u64, now_ns: u64) -> Option<Finding> {
    let ahead = Duration::from_nanos(seen_ns.saturating_sub(now_ns));
    let text = format!(
        "a client was last seen at {}, {} after this host's clock; the clock is behind, or was \
         ahead then; check it",
        Time(seen_ns),
        rough(ahead)
    );
    (ahead > STEP).then(|| Finding::warn("clock", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_seen_in_the_future_makes_the_clock_suspect() {
        let hour = 3_600_000_000_000;
        assert_eq!(ahead(5 * hour, 4 * hour), None);
        assert!(ahead(7 * hour, 4 * hour).unwrap().text.contains("3 h"));
    }
}
