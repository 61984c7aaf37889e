//! Tells the collector this host's tags, once for each connection.

use std::time::{Duration, Instant};

use quinn::Connection;
use settings::{InFull, SharedFailures, words};
use tokio::time::{sleep, timeout};
use wire::BootNs;
use wire::message::{Message, NUMBER_MAX, Tags};
use wire::tag::TagSet;

use crate::clocks;
use crate::connection::Server;
use crate::connection::control::{self, ControlError};

/// Time limit for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Wait after a refusal. A collector that is too old for tags counts each as a request for a certificate
/// and grants 12 of those an hour.
const AGAIN: Duration = Duration::from_secs(3600);

/// The tags, and since when they are this host's.
#[derive(Debug, Clone, Default)]
pub struct HeldTags {
    /// The tags.
    pub tags: TagSet,
    /// The boot clock when they were read from the config, nanoseconds.
    pub since_ns: BootNs,
}

impl PartialEq for HeldTags {
    /// Equal tags are the same tags, whenever they were read.
    fn eq(&self, other: &Self) -> bool {
        self.tags == other.tags
    }
}

impl Eq for HeldTags {}

impl HeldTags {
    fn message(&self, now_ns: BootNs) -> Message {
        let age_ns = now_ns.saturating_since(self.since_ns).min(NUMBER_MAX);
        Message::Tags(Tags::of(&self.tags, age_ns))
    }
}

/// Why the collector did not take the tags.
#[derive(Debug, thiserror::Error)]
enum TagsError {
    /// It says no, in this text.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("no answer within {PATIENCE:?}")]
    Late,
    #[error("the collector answered something else")]
    Answer,
}

/// Collectors that take no tags: each is logged once, then rarely.
static UNTOLD: SharedFailures<(Server, String)> = SharedFailures::new();

/// Tells the tags over a connection that is welcome; again if the collector refuses them for now.
pub(super) async fn tell(
    server: &Server,
    held: &HeldTags,
    connection: &Connection,
) -> std::convert::Infallible {
    loop {
        match ask(held, connection).await {
            Ok(counting) => {
                UNTOLD.succeeded_for(|(other, _)| other == server);
                tracing::debug!(%server, counting, "the collector has this host's tags");
                std::future::pending::<()>().await;
            }
            // Without tags, a collector that takes none has missed nothing.
            Err(error) if held.tags.is_empty() => {
                tracing::debug!(%server, error = %error.in_full(), "the collector takes no tags");
            }
            Err(error) => {
                let error = error.in_full().to_string();
                if let Some(tell) = UNTOLD.failed((server.clone(), words(&error)), Instant::now()) {
                    tracing::warn!(%server, error, "the collector did not take client.tags{tell}");
                }
            }
        }
        sleep(AGAIN).await;
    }
}

/// Tells the tags. Returns those that count for this client.
async fn ask(held: &HeldTags, connection: &Connection) -> Result<String, TagsError> {
    let exchange = async {
        let opened = connection.open_bi().await;
        let (mut send, mut receive) =
            opened.map_err(|error| ControlError::Gone(control::close_reason(&error)))?;
        control::write(&mut send, connection, &held.message(clocks::boot_ns())).await?;
        control::read(&mut receive, connection).await
    };
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(Message::Tags(counting))) => {
            let tags = counting.tags.iter().map(|it| format!("{}={}", it.key, it.value));
            Ok(tags.collect::<Vec<_>>().join(" "))
        }
        Ok(Ok(Message::Refused(refused))) => Err(TagsError::Refused(refused.reason)),
        Ok(Ok(_)) => Err(TagsError::Answer),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(TagsError::Late),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_a_length_of_the_boot_clock_whatever_it_says() {
        let held = HeldTags { tags: TagSet::default(), since_ns: BootNs(7) };
        let age = |now_ns| match held.message(now_ns) {
            Message::Tags(tags) => tags.age_ns,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (age(BootNs(7)), age(BootNs(5_000_000_007)), age(BootNs(1))),
            (0, 5_000_000_000, 0)
        );
        assert_eq!(held, HeldTags { since_ns: BootNs(99), ..HeldTags::default() });
    }
}
