//! Why a connection ends, and the reason sent to the agent.

use std::error::Error;

use settings::InFull;

use super::patience::PATIENCE;
use super::reading::ReadError;
use super::second_host::SecondHost;
use super::sessions::FrameRefused;
use crate::identity::{CLOSE_REFUSED, PeerError};

/// Close code of a connection that broke the protocol.
const CLOSE_PROTOCOL: u32 = 2;

/// Why a connection ends. If the collector decided so, it sends the reason to the agent.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The connection is gone: the text is what came over the wire, or why QUIC ended it.
    #[error("{0}")]
    Gone(String),
    #[error("no Hello within {PATIENCE:?}")]
    NoHello,
    #[error("the agent reads nothing")]
    Stuck,
    #[error("{0}")]
    Refused(String),
    /// The collector itself fails. The cause may name its files and its store: it is for its log only.
    #[error("the collector can't take this agent now: see its log")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Lost(PeerError),
    #[error(transparent)]
    SecondHost(Box<SecondHost>),
    #[error("another connection has opened the session")]
    Superseded,
    #[error("{0}")]
    Quarantined(String),
    #[error("bad frame")]
    Frame(#[from] FrameRefused),
    #[error("bad message")]
    Read(#[source] ReadError),
    #[error("the collector has stopped")]
    Stopped,
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone(error) => Self::Gone(error.in_full().to_string()),
            error => Self::Read(error),
        }
    }
}

impl End {
    /// The reason that the agent receives: everything but the causes of the collector's own failures.
    pub fn for_agent(&self) -> String {
        match self {
            Self::Failed(_) => self.to_string(),
            other => other.in_full().to_string(),
        }
    }

    /// Close code, and the reason as the label of the metric of refusals.
    pub const fn close(&self) -> Option<(u32, &'static str)> {
        match self {
            Self::Gone(_) | Self::Stopped | Self::Superseded => None,
            Self::NoHello | Self::Stuck => Some((CLOSE_PROTOCOL, "silent")),
            Self::Refused(_) | Self::Failed(_) => Some((CLOSE_REFUSED, "refused")),
            Self::Lost(error) => Some((CLOSE_REFUSED, error.reason())),
            Self::SecondHost(_) => Some((CLOSE_REFUSED, "second_host")),
            Self::Quarantined(_) => Some((CLOSE_REFUSED, "quarantined")),
            Self::Frame(_) => Some((CLOSE_PROTOCOL, "bad_frame")),
            Self::Read(_) => Some((CLOSE_PROTOCOL, "bad_message")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wire::private_file::FileError;

    use super::*;

    #[test]
    fn an_agent_is_not_told_what_fails_inside_the_collector() {
        let away = FileError::read(Path::new("/var/x/web-1"), std::io::Error::other("no disk"));
        let end = End::Failed(away.into());
        let told = end.for_agent();
        assert!(!told.contains('/') && !told.contains("no disk"), "{told}");
        let logged = end.in_full().to_string();
        assert!(logged.contains("/var/x/web-1") && logged.contains("no disk"), "{logged}");
    }

    #[test]
    fn an_agent_is_told_what_is_wrong_with_its_own_messages() {
        assert_eq!(End::Refused("say Hello".into()).for_agent(), "say Hello");
        let told = End::Read(ReadError::Misplaced).for_agent();
        assert!(told.starts_with("bad message: a frame on the control stream"), "{told}");
    }
}
