//! What is kept of accounts' cycles: statements, entries of operators, warnings; and their proof.

use std::fmt::Write;

use ring::digest::{Context, SHA256};
use wire::{Bytes, WallNs};

/// Selects the columns of statements, in the order in which both stores read them. `evidence` is the
/// expression for the evidence: `''` leaves it out.
pub fn select_cycles(evidence: &str) -> String {
    format!(
        "SELECT account, cycle, starts_at, ends_at, as_of, frozen_at, rule, basis, rx_bytes, tx_bytes,
             rx_packets, tx_packets, opening_bytes, used_bytes, used_max_bytes, quota_bytes, missing_ns,
             p95_bits_per_second, commit_bits_per_second, statement, {evidence}, digest
         FROM account_statements"
    )
}

/// The statement of an account for a cycle, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountCycle {
    /// The account.
    pub account: String,
    /// The cycle, as `2026-11`.
    pub cycle: String,
    /// Its start, nanoseconds since 1970 (UTC).
    pub starts_ns: WallNs,
    /// Its end, nanoseconds since 1970 (UTC).
    pub ends_ns: WallNs,
    /// As of when the figures are, nanoseconds since 1970 (UTC).
    pub as_of_ns: WallNs,
    /// When it was frozen, nanoseconds since 1970 (UTC).
    pub frozen_ns: Option<WallNs>,
    /// The rule, as in the config.
    pub rule: String,
    /// The basis, as in the config.
    pub basis: String,
    /// Bytes and packets received and transmitted: rx bytes, tx bytes, rx packets, tx packets.
    pub counted: [u64; 4],
    /// The opening balance.
    pub opening_bytes: Bytes,
    /// Billed bytes with the opening balance.
    pub used_bytes: Bytes,
    /// The most that they may be.
    pub used_max_bytes: Option<Bytes>,
    /// The volume of the cycle.
    pub quota_bytes: Option<Bytes>,
    /// Time that was not measured, nanoseconds.
    pub missing_ns: u64,
    /// The 95th percentile.
    pub p95_bits_per_second: Option<u64>,
    /// The committed rate.
    pub commit_bits_per_second: Option<u64>,
    /// Everything else, as JSON.
    pub statement: String,
    /// Of a frozen cycle: what it was metered from, lines of [`EVIDENCE`].
    pub evidence: String,
    /// Of a frozen cycle: [`Self::seal`].
    pub digest: String,
}

/// The head of the evidence: a line for each interval with anything in it, and for each gap of which only
/// the sums are known.
pub const EVIDENCE: &str =
    "kind,time_ns,rx_bytes,tx_bytes,rx_packets,tx_packets,covered_ns,missing_ns";

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// The opening balance of a cycle.
    Opening,
    /// What the provider says was used.
    Provider,
}

impl EntryKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Opening, Self::Provider];

    /// The kind of a name in the store; an unknown one, as of a changed row, is the provider's, which
    /// changes no bill.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Provider)
    }

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Provider => "provider",
        }
    }
}

/// What an operator typed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEntry {
    /// The account.
    pub account: String,
    /// The cycle.
    pub cycle: String,
    /// Its kind.
    pub kind: EntryKind,
    /// The figure, bytes.
    pub bytes: Bytes,
    /// Why.
    pub reason: String,
    /// Who, as far as the system knows.
    pub operator: String,
    /// When, seconds since 1970 (UTC).
    pub at_s: u64,
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    /// Counts all entries of all accounts, from 1 on.
    pub nth: u64,
    /// The entry.
    pub entry: AccountEntry,
    /// [`AccountEntry::seal`].
    pub digest: String,
}

/// A warning that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWarning {
    /// The account.
    pub account: String,
    /// The cycle.
    pub cycle: String,
    /// Which one: `80%`, `projected`, `commit`.
    pub warning: String,
    /// When, nanoseconds since 1970 (UTC).
    pub at_ns: WallNs,
    /// What it said.
    pub message: String,
}

impl AccountCycle {
    /// SHA-256 over all that a frozen cycle says.
    #[must_use]
    pub fn seal(&self) -> String {
        let optional = |it: Option<u64>| it.map(|it| it.to_string()).unwrap_or_default();
        let figures = [
            self.starts_ns.get().to_string(),
            self.ends_ns.get().to_string(),
            self.opening_bytes.to_string(),
            self.used_bytes.to_string(),
            optional(self.used_max_bytes.map(Bytes::get)),
            optional(self.quota_bytes.map(Bytes::get)),
            self.missing_ns.to_string(),
            optional(self.p95_bits_per_second),
            optional(self.commit_bits_per_second),
        ];
        let names = [&self.account, &self.cycle, &self.rule, &self.basis];
        let counted = self.counted.map(|it| it.to_string());
        let parts = names.into_iter().chain(&counted).chain(&figures);
        sha256(parts.chain([&self.statement, &self.evidence]).map(String::as_str))
    }

    /// What is wrong with a frozen cycle; `None` if its digest and its evidence agree with it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.frozen_ns?;
        let of = format!("account {}, cycle {}", self.account, self.cycle);
        if self.seal() != self.digest {
            return Some(format!("{of}: it was changed after it was frozen"));
        }
        match evidence_sums(&self.evidence) {
            Some(sums) if sums == self.counted => None,
            sums => Some(format!("{of}: its evidence has {sums:?}, it says {:?}", self.counted)),
        }
    }
}

impl AccountEntry {
    /// SHA-256 over the entry and the digest of the one before, which is empty for the first.
    #[must_use]
    pub fn seal(&self, before: &str) -> String {
        let Self { account, cycle, kind, bytes, reason, operator, at_s } = self;
        let (bytes, at) = (bytes.to_string(), at_s.to_string());
        sha256([before, account, cycle, kind.name(), &bytes, reason, operator, &at])
    }
}

/// What is wrong with the entries, oldest first: each is numbered, and sealed with the one before.
#[must_use]
pub fn faults_of_entries(entries: &[KeptEntry]) -> Vec<String> {
    let mut before = "";
    let mut faults = Vec::new();
    for (nth, kept) in (1..).zip(entries) {
        if kept.nth != nth || kept.digest != kept.entry.seal(before) {
            let AccountEntry { account, cycle, .. } = &kept.entry;
            faults.push(format!(
                "account {account}, cycle {cycle}: entry {} was changed, or one before it removed",
                kept.nth
            ));
        }
        before = &kept.digest;
    }
    faults
}

/// Sums of the evidence's lines: rx bytes, tx bytes, rx packets, tx packets.
fn evidence_sums(evidence: &str) -> Option<[u64; 4]> {
    let mut lines = evidence.lines();
    let mut sums = [0_u64; 4];
    (lines.next() == Some(EVIDENCE)).then_some(())?;
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        for (sum, cell) in sums.iter_mut().zip(cells.get(2..6)?) {
            *sum = sum.saturating_add(cell.parse().ok()?);
        }
    }
    Some(sums)
}

/// SHA-256 over texts, each with its length, in hexadecimal.
fn sha256<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut text = String::new();
    for byte in context.finish().as_ref() {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: u64) -> AccountEntry {
        AccountEntry {
            account: "transit".into(),
            cycle: "2026-11".into(),
            kind: EntryKind::Opening,
            bytes: Bytes(bytes),
            reason: "moved".into(),
            operator: "ann".into(),
            at_s: 7,
        }
    }

    fn kept() -> Vec<KeptEntry> {
        let first = KeptEntry { nth: 1, digest: entry(1).seal(""), entry: entry(1) };
        let second = KeptEntry { nth: 2, digest: entry(2).seal(&first.digest), entry: entry(2) };
        vec![first, second]
    }

    #[test]
    fn changed_and_removed_entries_are_found() {
        assert!(faults_of_entries(&kept()).is_empty());
        let mut changed = kept();
        changed[0].entry.bytes = Bytes(9);
        assert_eq!(faults_of_entries(&changed).len(), 1);
        assert_eq!(faults_of_entries(&kept()[1..]).len(), 1, "the first is gone");
    }

    #[test]
    fn texts_are_sealed_apart() {
        assert_ne!(sha256(["ab", "c"]), sha256(["a", "bc"]));
        // echo -n | with the length 0 of one empty text: eight zero bytes.
        assert_eq!(
            sha256([""]),
            "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"
        );
    }
}
