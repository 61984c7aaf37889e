//! The rare paths that a campaign reached. A campaign that reaches none proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::stored::Stored;

/// Count per path.
#[derive(Debug)]
pub struct Reached(BTreeMap<&'static str, u64>);

/// The names of all paths.
const PATHS: [&str; 17] = [
    DUPLICATE,
    UNKNOWN_MADE,
    UNKNOWN_NOT_MADE,
    FENCED,
    FAILED_OVER,
    COARSE_10S,
    COARSE_1M,
    GAP_FULL,
    GAP_DAMAGED,
    GAP_FORGOTTEN,
    GAP_UNMEASURED,
    SPOOL_UNWRITABLE,
    OLD_SESSION,
    STORE_FAILED,
    KILLED_UNSAMPLED,
    PACKED,
    PACKING_FAILED,
];

const DUPLICATE: &str = "duplicate received";
const UNKNOWN_MADE: &str = "failed commit: had been made all the same";
const UNKNOWN_NOT_MADE: &str = "failed commit: had not been made";
const FENCED: &str = "stale cursor fenced";
const FAILED_OVER: &str = "agent went to the other collector";
const COARSE_10S: &str = "coarsened to 10 s";
const COARSE_1M: &str = "coarsened to 1 min";
const GAP_FULL: &str = "gap: spool full or too old";
const GAP_DAMAGED: &str = "gap: spool damaged";
const GAP_FORGOTTEN: &str = "gap: forgotten";
const GAP_UNMEASURED: &str = "gap: broken off by a kill";
const SPOOL_UNWRITABLE: &str = "spool could not be written";
const OLD_SESSION: &str = "old session delivered after a restart";
const STORE_FAILED: &str = "store refused commits for a while";
const KILLED_UNSAMPLED: &str = "bytes passed while an agent was dead";
const PACKED: &str = "samples packed beside commits";
const PACKING_FAILED: &str = "packing failed and was tried again";

impl Default for Reached {
    fn default() -> Self {
        Self(PATHS.iter().map(|path| (*path, 0)).collect())
    }
}

impl Reached {
    /// Counts duplicates that collectors reported.
    pub fn on_duplicates(&mut self, count: u64) {
        self.add(DUPLICATE, count);
    }

    /// Counts bytes that nobody measured.
    pub fn on_killed(&mut self, bytes: u64) {
        self.add(KILLED_UNSAMPLED, u64::from(bytes > 0));
    }

    /// Counts paths named in the programs' logs.
    pub fn on_logs(&mut self, agents: &str, collectors: &str) {
        let count = |log: &str, words: &str| log.matches(words).count() as u64;
        self.add(UNKNOWN_MADE, count(collectors, "commit had happened after all"));
        self.add(UNKNOWN_NOT_MADE, count(collectors, "commit had not happened"));
        self.add(FENCED, count(collectors, "another connection has opened the session"));
        self.add(
            STORE_FAILED,
            count(collectors, "the store can't commit; nothing is acknowledged"),
        );
        self.add(PACKED, count(collectors, "packed old samples"));
        self.add(PACKING_FAILED, count(collectors, "can't pack old samples and mixes yet"));
        self.add(SPOOL_UNWRITABLE, count(agents, "the spool can be written again"));
        let connected = |line: &&str| line.contains(r#""connected""#);
        let other = agents.lines().filter(connected).filter(|line| line.contains(":8092"));
        self.add(FAILED_OVER, other.count() as u64);
        let begins = |line: &&str| line.contains("session begins");
        let waiting = |line: &&str| !line.contains(r#""waiting":0,"#);
        self.add(OLD_SESSION, agents.lines().filter(begins).filter(waiting).count() as u64);
    }

    /// Counts paths that the stored rows show.
    pub fn on_stored(&mut self, stored: &Stored) {
        for row in stored.rows.iter().filter(|row| row.gap == 0) {
            match row.interval_ns / 1_000_000 {
                0..2_000 => {}
                2_000..=10_000 => self.add(COARSE_10S, 1),
                _ => self.add(COARSE_1M, 1),
            }
        }
        let reasons = stored.rows.iter().map(|row| row.gap).chain(stored.bare_gaps.iter().copied());
        for reason in reasons {
            match reason {
                1 => self.add(GAP_FULL, 1),
                2 => self.add(GAP_DAMAGED, 1),
                3 => self.add(GAP_FORGOTTEN, 1),
                4 => self.add(GAP_UNMEASURED, 1),
                _ => {}
            }
        }
    }

    fn add(&mut self, path: &'static str, count: u64) {
        *self.0.entry(path).or_default() += count;
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rare paths reached:")?;
        for (path, count) in self.0.iter().filter(|(_, count)| **count > 0) {
            writeln!(f, "  {count:>7}  {path}")?;
        }
        let missed: Vec<&str> =
            self.0.iter().filter(|(_, count)| **count == 0).map(|(path, _)| *path).collect();
        let missed = if missed.is_empty() { "none".to_owned() } else { missed.join("; ") };
        writeln!(f, "not reached: {missed}")?;
        write!(f, "left to the models: reordering, power loss")
    }
}
