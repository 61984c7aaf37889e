//! Checks the database: whether it answers, its schema, and its times.

use std::time::{Duration, Instant};

use settings::{Finding, InFull};
use tokio::time::timeout;
use wire::WallNs;

use crate::store::clock::STEP;
use crate::store::sqlite::OpenError;
use crate::store::{Client, SecondHostRecord};
use crate::store_location::{StoreLocation, StoreLocationError};
use crate::time::{Time, now_ns, rough};

const SUBJECT: &str = "database";

/// Time limit for its answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// Data of the store about clients.
#[derive(Debug, Default)]
pub(super) struct KnownClients {
    /// All clients.
    pub clients: Vec<Client>,
    /// Refused second hosts.
    pub second_hosts: Vec<SecondHostRecord>,
}

/// The findings, and the store's data about clients.
pub(super) async fn examine(location: &StoreLocation) -> (Vec<Finding>, KnownClients) {
    let start = Instant::now();
    let asked = timeout(PATIENCE, ask(location)).await;
    let took = start.elapsed();
    let (findings, known) = match asked {
        Ok(Ok(Some(known))) => {
            let clients = known.clients.len();
            let text = format!("{location} answers in {took:.1?}; {clients} clients");
            (vec![Finding::ok(SUBJECT, text)], known)
        }
        Ok(Ok(None)) => {
            let text = format!("{location} has no tables yet; the first start makes them");
            (vec![Finding::ok(SUBJECT, text)], KnownClients::default())
        }
        Ok(Err(StoreLocationError::Open(error @ OpenError::Older { .. }))) => {
            (vec![Finding::warn(SUBJECT, error.in_full().to_string())], KnownClients::default())
        }
        Ok(Err(error)) => {
            (vec![Finding::fail(SUBJECT, error.in_full().to_string())], KnownClients::default())
        }
        Err(_) => {
            let text = format!("{location} gives no answer within {PATIENCE:?}");
            (vec![Finding::fail(SUBJECT, format!("{text}; see its log"))], KnownClients::default())
        }
    };
    let settings = match location {
        StoreLocation::Postgres(config) if config.is_exposed() => Some(Finding::warn(
            SUBJECT,
            "the connection is not encrypted; write sslmode=require, or set database.ca",
        )),
        _ => None,
    };
    let seen = known.clients.iter().map(|client| client.last_seen_ns).max();
    let clock = seen.and_then(|seen_ns| ahead(seen_ns, now_ns()));
    (findings.into_iter().chain(settings).chain(clock).collect(), known)
}

/// `None` without tables.
async fn ask(location: &StoreLocation) -> Result<Option<KnownClients>, StoreLocationError> {
    if !location.is_used().await? {
        return Ok(None);
    }
    let store = location.open_to_read()?;
    store.ready().await?;
    let clients = store.clients().await?;
    Ok(Some(KnownClients { clients, second_hosts: store.second_hosts().await? }))
}

/// Reports a client seen in the future.
fn ahead(seen_ns: WallNs, now_ns: WallNs) -> Option<Finding> {
    let ahead = Duration::from_nanos(seen_ns.saturating_since(now_ns));
    let text = format!(
        "a client was last seen at {}, {} after this host's present time; the clock is wrong now, \
         or was then; check it",
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
        assert_eq!(ahead(WallNs(5 * hour), WallNs(4 * hour)), None);
        assert!(ahead(WallNs(7 * hour), WallNs(4 * hour)).unwrap().text.contains("3 h"));
    }
}
