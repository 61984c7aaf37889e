//! A second host with a certificate in use: its relation to the first host, and the number of refusals.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use settings::Failures;
use wire::id::ClientId;
use wire::message::{Claim, HostKey};

/// How long the connected host may take to answer when another host connects.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The same if both look like one machine: usually its agent was restarted.
const RESTART_PATIENCE: Duration = Duration::from_secs(1);

/// Interval between records of a second host while it tries.
const KEPT_EVERY: Duration = Duration::from_secs(600);

/// Relation of a new host to the connected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// The same run of the same agent, over a new connection.
    Same,
    /// The same machine by its keys: a restart, or a second agent on it.
    Machine,
    /// The same machine-id in another boot: a reboot, or a copy of the machine.
    Copy,
    /// Another machine.
    Other,
    /// One of the two doesn't name its machine.
    Unknown,
}

impl Kin {
    /// Compares a new host with the connected one.
    #[must_use]
    pub fn of(newcomer: &Claim, connected: &Claim) -> Self {
        let unknown = HostKey::default();
        let (new, old) = (newcomer.host, connected.host);
        if newcomer == connected {
            Self::Same
        } else if new.machine == unknown.machine || old.machine == unknown.machine {
            Self::Unknown
        } else if new.machine != old.machine {
            Self::Other
        } else if new.boot != old.boot {
            Self::Copy
        } else {
            Self::Machine
        }
    }

    /// How long the connected host may take to answer.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Same | Self::Machine => RESTART_PATIENCE,
            Self::Copy | Self::Other | Self::Unknown => PATIENCE,
        }
    }

    /// Describes the second host in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Same | Self::Machine => {
                "this is a second agent on the same machine, or in a copy of its container"
            }
            Self::Copy => "this is a copy of that machine, with the same machine-id",
            Self::Other => "this is another machine",
            Self::Unknown => "one of the two has no machine-id",
        }
    }
}

/// A second host with a certificate in use. The agent receives this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "client {client} is connected from {kept} already, and that host keeps its place ({}); to \
     measure both, get a token (collector token) and give this host an id of its own: agent \
     enroll --id NAME TOKEN; to let it take over, get one by `collector token --client {client} \
     --replace` and run: agent enroll TOKEN",
    .kin.what()
)]
pub struct SecondHost {
    /// Whose certificate it is.
    pub client: ClientId,
    /// Address of the host that stays connected.
    pub kept: IpAddr,
    /// Who was refused.
    pub refused: IpAddr,
    /// Relation of the refused host to the connected one.
    pub kin: Kin,
    /// Number of refusals since the connected host connected.
    pub times: u64,
    /// To be logged.
    pub news: bool,
    /// To be stored for `collector clients`.
    pub due: bool,
}

/// Number of refusals, the kinds already logged, and the time of the last record.
#[derive(Debug)]
pub(super) struct Refusals {
    times: u64,
    told: Failures<HostKey>,
    kept: Option<Instant>,
}

impl Refusals {
    pub(super) const fn new() -> Self {
        Self { times: 0, told: Failures::new(), kept: None }
    }

    /// Counts a refusal. Returns the number of refusals, whether to log it, and whether to store it.
    pub(super) fn on_refused(&mut self, claim: &Claim) -> (u64, bool, bool) {
        self.times += 1;
        let now = Instant::now();
        let news = self.told.failed(claim.host, now).is_some();
        let due = news || self.kept.is_none_or(|at| now.duration_since(at) >= KEPT_EVERY);
        if due {
            self.kept = Some(now);
        }
        (self.times, news, due)
    }
}

#[cfg(test)]
mod tests {
    use wire::id::SessionId;

    use super::*;

    const fn claim(machine: u8, boot: u8, session: u64) -> Claim {
        Claim {
            host: HostKey { machine: [machine; 16], boot: [boot; 16] },
            session: SessionId::new(session),
        }
    }

    #[test]
    fn a_newcomer_is_told_by_its_keys_and_its_session() {
        let connected = claim(1, 1, 7);
        for (newcomer, kin) in [
            (claim(1, 1, 7), Kin::Same),
            (claim(1, 1, 8), Kin::Machine),
            (claim(1, 2, 8), Kin::Copy),
            // A copy of a running machine becomes another boot once it is rebooted.
            (claim(1, 2, 7), Kin::Copy),
            (claim(2, 1, 8), Kin::Other),
            (claim(2, 2, 7), Kin::Other),
            (claim(0, 1, 8), Kin::Unknown),
            (claim(0, 0, 7), Kin::Unknown),
        ] {
            assert_eq!(Kin::of(&newcomer, &connected), kin, "{newcomer:?}");
        }
        // An older agent reconnects after its connection broke.
        assert_eq!(Kin::of(&claim(0, 0, 7), &claim(0, 0, 7)), Kin::Same);
    }
}
