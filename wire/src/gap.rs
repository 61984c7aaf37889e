//! Gaps: why records lack the samples of their range.

/// Why a record lacks the samples of its range; its counts are exact all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Gap {
    /// The spool reached its size or age limit.
    SpoolFull = 1,
    /// The spool's file was damaged.
    SpoolDamaged = 2,
    /// It was committed before and forgotten here, and the database has lost it since.
    Forgotten = 3,
    /// Nothing was measured: the agent before this one was broken off. What passed is not known,
    /// and its counts are none.
    Unmeasured = 4,
    /// The host was set back to an earlier state (a snapshot, a restored spool), and the database
    /// has other records under these numbers: of those of before nobody can tell whether it has
    /// them.
    Forked = 5,
    /// The samples are dated too far from the collector's time to be kept among the others. Said by
    /// collectors of each such sample, with its exact counts and its own time; never by agents.
    Misdated = 6,
}

impl Gap {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::SpoolFull,
        Self::SpoolDamaged,
        Self::Forgotten,
        Self::Unmeasured,
        Self::Forked,
        Self::Misdated,
    ];

    /// The reason as people and programs are told it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::SpoolDamaged => "spool_damaged",
            Self::Forgotten => "forgotten",
            Self::Unmeasured => "unmeasured",
            Self::Forked => "forked",
            Self::Misdated => "misdated",
        }
    }
}
