//! Gaps: reasons why records lack the samples of their range.

/// Why a record lacks the samples of its range. Its counts are still exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Gap {
    /// The spool reached its size or age limit.
    SpoolFull = 1,
    /// The spool's file was damaged.
    SpoolDamaged = 2,
    /// It was committed and forgotten by the agent, and the database has lost it since.
    Forgotten = 3,
    /// Nothing was measured, because the previous agent broke off. The traffic is unknown, and the
    /// counts are zero.
    Unmeasured = 4,
    /// The host was set back to an earlier state (a snapshot, a restored spool), and the database has
    /// other records with these numbers. Whether it has the earlier ones can't be decided.
    Forked = 5,
    /// The samples are dated too far from the collector's time to be stored with the others. Collectors
    /// record each such sample with its exact counts and its own time; agents never use this.
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

    /// The reason's name for people and programs.
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
