//! Distinguishes a fork from a repeat. The database has records of a session: either this agent made
//! them, or another future of it did, before its host was set back to an earlier state.

use crate::id::SessionId;
use crate::seq::Seq;

/// An agent's knowledge of one of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Known as committed up to here.
    pub committed: Seq,
    /// Everything up to here was sent on some connection.
    pub sent: Seq,
    /// Newest number in the spool.
    pub last: Seq,
    /// True if no number after [`Own::last`] was made: the session is running, ended properly, or was
    /// killed in this boot. If it broke off before, a power loss may have taken its newest records.
    pub whole: bool,
    /// What the spool holds for the number that the collector reported.
    pub told: Written,
}

/// What an agent's spool holds for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A record that ends with it.
    Ends {
        /// Its digest.
        digest: u64,
        /// Its digest if it was sent to a collector that doesn't know talkers; else the same.
        without_talkers: u64,
    },
    /// A record that continues after it. Committed records end where the database ends, so this one
    /// isn't there.
    GoesOn,
    /// Nothing, or a gap in place of lost records.
    Nothing,
}

/// The collector's report on a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredProgress {
    /// The session.
    pub session: SessionId,
    /// Every sequence number up to this one is committed.
    pub seq: Seq,
    /// Digest of the record that ends with this number ([`crate::codec::digest`]). `None` if the
    /// collector, or the one that committed it, is too old to report it.
    pub digest: Option<u64>,
}

/// True if the database can't have the numbers up to `told.seq` from this agent. False if that can't be
/// decided.
#[must_use]
pub fn is_fork(own: &Own, told: StoredProgress) -> bool {
    if told.seq > own.last {
        // More than was ever made or sent here.
        return own.whole || own.last > own.sent.max(own.committed);
    }
    match (told.digest, own.told) {
        (Some(told), Written::Ends { digest, without_talkers }) => {
            told != digest && told != without_talkers
        }
        (Some(_), Written::GoesOn) => true,
        (None, _) | (_, Written::Nothing) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own = Own {
        committed: Seq(100),
        sent: Seq(120),
        last: Seq(130),
        whole: true,
        told: Written::Nothing,
    };

    const fn told(seq: u64, digest: Option<u64>) -> StoredProgress {
        StoredProgress { session: SessionId::new(1), seq: Seq(seq), digest }
    }

    const fn ends(digest: u64) -> Written {
        Written::Ends { digest, without_talkers: digest }
    }

    #[test]
    fn what_was_never_made_is_a_fork_unless_a_power_loss_may_have_taken_it() {
        assert!(is_fork(&OWN, told(131, None)));
        let broken_off = Own { whole: false, last: Seq(120), ..OWN };
        assert!(!is_fork(&broken_off, told(131, Some(1))), "all up to 120 was sent");
        assert!(is_fork(&Own { last: Seq(121), ..broken_off }, told(131, None)), "121 never was");
        assert!(!is_fork(&Own { sent: Seq(0), last: Seq(100), ..broken_off }, told(131, None)));
    }

    #[test]
    fn by_the_digest_a_repeat_is_told_from_a_fork() {
        for (written, digest, fork) in [
            (ends(7), Some(7), false),
            (ends(7), Some(8), true),
            // An older collector took the record without its talkers.
            (Written::Ends { digest: 7, without_talkers: 8 }, Some(8), false),
            (Written::Ends { digest: 7, without_talkers: 8 }, Some(9), true),
            (Written::GoesOn, Some(8), true),
            // Forgotten or damaged: undecidable.
            (Written::Nothing, Some(8), false),
            // An older collector.
            (ends(7), None, false),
            (Written::GoesOn, None, false),
        ] {
            let own = Own { told: written, ..OWN };
            assert_eq!(is_fork(&own, told(125, digest)), fork, "{written:?} {digest:?}");
            // Also below the known commit: a database that fell back.
            assert_eq!(is_fork(&own, told(90, digest)), fork, "{written:?} {digest:?}");
        }
    }
}
