//! `fsck`: proves that a store holds every sequence number once and everything that agents counted.
//! Refused frames are reported too, because their samples are in no table.

use std::collections::BTreeMap;
use std::fmt;

use wire::id::SessionId;

use crate::store::rows::client_days_proof::DaysProof;
use crate::store::rows::nics::NicId;
use crate::store::rows::tags::{self, TagInterval};
use crate::store::rows::talkers_proof::TalkersProof;

/// The result of checking a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Number of sessions.
    pub sessions: u64,
    /// The traffic of every NIC, by client and name.
    pub nics: Vec<NicCheck>,
    /// The faults as text. Empty if everything is proven.
    pub findings: Vec<String>,
    /// Lists of talkers.
    pub talkers: u64,
    /// Those of which the samples are all there, so that the totals could be compared.
    pub talkers_compared: u64,
    /// Packed days of clients.
    pub days: u64,
    /// Number of readings.
    pub readings: u32,
    /// Faults of an earlier reading that a later one didn't confirm: it saw part of a commit.
    pub fleeting: u64,
}

impl CheckReport {
    /// True if nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The traffic of one NIC over all sessions that the store still knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicCheck {
    /// The client.
    pub client: String,
    /// Its name.
    pub nic: String,
    /// Sums of samples and gaps, including expired rows.
    pub counted: Sums,
    /// The part in gaps: exact, without samples.
    pub in_gaps: Sums,
    /// Traffic during gaps without counts: the growth of the agent's own totals beyond its samples and
    /// gaps.
    pub uncounted: Sums,
    /// The growth of the agent's own totals.
    pub totals: Sums,
}

/// Sums over many rows, which may exceed 64 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bytes received.
    pub rx_bytes: i128,
    /// Bytes transmitted.
    pub tx_bytes: i128,
    /// Packets received.
    pub rx_packets: i128,
    /// Packets transmitted.
    pub tx_packets: i128,
}

impl Sums {
    /// From figures in the order of their columns.
    #[must_use]
    pub const fn from_array(figures: [i128; 4]) -> Self {
        let [rx_bytes, tx_bytes, rx_packets, tx_packets] = figures;
        Self { rx_bytes, tx_bytes, rx_packets, tx_packets }
    }

    fn with(self, other: Self, by: impl Fn(i128, i128) -> i128) -> Self {
        Self {
            rx_bytes: by(self.rx_bytes, other.rx_bytes),
            tx_bytes: by(self.tx_bytes, other.tx_bytes),
            rx_packets: by(self.rx_packets, other.rx_packets),
            tx_packets: by(self.tx_packets, other.tx_packets),
        }
    }

    /// True if no figure is negative.
    fn is_positive(self) -> bool {
        let Self { rx_bytes, tx_bytes, rx_packets, tx_packets } = self;
        [rx_bytes, tx_bytes, rx_packets, tx_packets].into_iter().all(|figure| figure >= 0)
    }

    pub(in crate::store) fn plus(self, other: Self) -> Self {
        self.with(other, i128::saturating_add)
    }

    fn minus(self, other: Self) -> Self {
        self.with(other, i128::saturating_sub)
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rx_bytes, tx_bytes, rx_packets, tx_packets } = self;
        write!(f, "rx {rx_bytes} bytes in {rx_packets} packets, ")?;
        write!(f, "tx {tx_bytes} bytes in {tx_packets} packets")
    }
}

/// The evidence that a store reads for the proof.
#[derive(Debug, Default)]
pub(in crate::store) struct Evidence {
    pub sessions: Vec<SessionEvidence>,
    pub ledgers: Vec<LedgerEvidence>,
    pub nics: Vec<NicEvidence>,
    /// The intervals of all clients' tags, with the client's id.
    pub tags: Vec<(String, TagInterval)>,
    pub talkers: TalkersProof,
    pub days: DaysProof,
}

/// Sequence numbers of a session, from its row and from the rows of other tables.
#[derive(Debug)]
pub(in crate::store) struct SessionEvidence {
    pub session: SessionId,
    pub client: String,
    pub committed: i128,
    pub covered: i128,
    pub gaps: i128,
    pub gap_rows: i128,
    pub quarantined: i128,
    /// In quarantine now, or deleted from it by age.
    pub quarantine_rows: i128,
}

/// The sums of a session on one NIC.
#[derive(Debug)]
pub(in crate::store) struct LedgerEvidence {
    pub session: SessionId,
    pub nic: NicId,
    pub first: Sums,
    pub last: Sums,
    pub counted: Sums,
    /// Sequence numbers in gaps without counts for this NIC.
    pub uncounted_seqs: i128,
}

/// The tables' sums for one NIC.
#[derive(Debug, Default)]
pub(in crate::store) struct NicEvidence {
    pub nic: NicId,
    pub client: String,
    pub name: String,
    /// All of `bandwidth_5m`.
    pub five_minutes: Sums,
    /// Rows deleted from `bandwidth_5m` by age, minus those of forgotten sessions.
    pub expired: Sums,
    pub gaps: Sums,
    /// `bandwidth_stats` since its start of complete rows, and `bandwidth_5m` since the same time.
    pub raw: (Sums, Sums),
    /// `bandwidth_1m` since its start of complete rows, and `bandwidth_5m` since the same time.
    pub minutes: (Sums, Sums),
}

/// The subject of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    Session(SessionId),
    /// A NIC, by its number, in a session.
    Ledger(SessionId, NicId),
    /// A NIC, by number, and the group of figures.
    Nic(NicId, &'static str),
    /// The tags of a client.
    Tags(String),
    /// The packed days of a client.
    Days(String),
}

/// The findings of one reading.
#[derive(Debug)]
pub(in crate::store) struct Judgement {
    pub report: CheckReport,
    /// The subject of each finding.
    about: Vec<About>,
}

impl Judgement {
    fn find(&mut self, about: About, wrong: String) {
        self.about.push(about);
        self.report.findings.push(wrong);
    }

    /// The findings that the `earlier` reading has too.
    pub fn lasting(mut self, earlier: &Self) -> Self {
        let gone = earlier.about.iter().filter(|it| !self.about.contains(it)).count();
        let found = self.about.into_iter().zip(self.report.findings);
        let lasting = found.filter(|(about, _)| earlier.about.contains(about));
        (self.about, self.report.findings) = lasting.unzip();
        self.report.readings = earlier.report.readings + 1;
        self.report.fleeting = earlier.report.fleeting + gone as u64;
        self
    }
}

/// Judges the evidence.
pub(in crate::store) fn judge(evidence: &Evidence) -> Judgement {
    let sessions = evidence.sessions.len() as u64;
    let report = CheckReport { sessions, readings: 1, ..CheckReport::default() };
    let mut judgement = Judgement { report, about: Vec::new() };
    for session in &evidence.sessions {
        if let Some(wrong) = judge_session(session) {
            judgement.find(About::Session(session.session), wrong);
        }
    }
    let mut totals: BTreeMap<NicId, [Sums; 3]> = BTreeMap::new();
    for ledger in &evidence.ledgers {
        let grown = ledger.last.minus(ledger.first);
        let missing = grown.minus(ledger.counted);
        let [total, counted, uncounted] = totals.entry(ledger.nic).or_default();
        *total = total.plus(grown);
        *counted = counted.plus(ledger.counted);
        if ledger.uncounted_seqs > 0 && missing.is_positive() {
            *uncounted = uncounted.plus(missing);
        } else if missing != Sums::default() {
            let LedgerEvidence { session, nic, counted, .. } = ledger;
            let named = evidence.nics.iter().find(|it| it.nic == *nic);
            let (client, name) = named.map_or(("?", "?"), |it| (&it.client, &it.name));
            let wrong = format!(
                "client {client}, NIC {name}, session {session}: the agent's totals grew by \
                 {grown}, but its samples and gaps add up to {counted}"
            );
            judgement.find(About::Ledger(*session, *nic), wrong);
        }
    }
    for nic in &evidence.nics {
        let [total, by_ledgers, uncounted] = totals.get(&nic.nic).copied().unwrap_or_default();
        let counted = nic.five_minutes.plus(nic.expired).plus(nic.gaps);
        let mut differ = |what: &'static str, sums: (Sums, Sums)| {
            if sums.0 != sums.1 {
                let wrong = format!(
                    "client {}, NIC {}: {what} say {}, but should say {}",
                    nic.client, nic.name, sums.0, sums.1
                );
                judgement.find(About::Nic(nic.nic, what), wrong);
            }
        };
        differ("bandwidth_5m and gaps", (counted, by_ledgers));
        differ("the rows of bandwidth_stats", nic.raw);
        differ("the rows of bandwidth_1m", nic.minutes);
        let (client, name) = (nic.client.clone(), nic.name.clone());
        let in_gaps = nic.gaps;
        judgement.report.nics.push(NicCheck {
            client,
            nic: name,
            counted,
            in_gaps,
            uncounted,
            totals: total,
        });
    }
    let TalkersProof { lists, compared, .. } = evidence.talkers;
    (judgement.report.talkers, judgement.report.talkers_compared) = (lists, compared);
    for (number, fault) in &evidence.talkers.faults {
        let named = evidence.nics.iter().find(|it| it.nic == *number);
        let (client, name) = named.map_or(("?", "?"), |it| (&it.client, &it.name));
        let wrong = format!("client {client}, NIC {name}: {fault}");
        judgement.find(About::Nic(*number, "talkers"), wrong);
    }
    judgement.report.days = evidence.days.days;
    for (client, fault) in &evidence.days.faults {
        let wrong = format!("client {client}: {fault}");
        judgement.find(About::Days(client.clone()), wrong);
    }
    for (client, wrong) in tags::findings(&evidence.tags) {
        judgement.find(About::Tags(client), wrong);
    }
    judgement
}

fn judge_session(session: &SessionEvidence) -> Option<String> {
    let SessionEvidence { committed, covered, gaps, gap_rows, .. } = session;
    let SessionEvidence { quarantined, quarantine_rows, .. } = session;
    let wrong = if covered != committed {
        format!("records cover {covered} sequence numbers, but {committed} are committed")
    } else if gaps != gap_rows {
        format!("gaps cover {gap_rows} sequence numbers, but {gaps} were committed as gaps")
    } else if quarantined != quarantine_rows {
        format!(
            "the quarantine covers {quarantine_rows} sequence numbers, but {quarantined} were \
             put there"
        )
    } else if *quarantined > 0 {
        format!(
            "{quarantined} sequence numbers were refused; their frames stay in quarantine as long as \
             retention.quarantine says"
        )
    } else {
        return None;
    };
    Some(format!("client {}, session {}: {wrong}", session.client, session.session))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sums(rx_bytes: i128) -> Sums {
        Sums::from_array([rx_bytes, 0, 0, 0])
    }

    fn evidence() -> Evidence {
        let session = SessionEvidence {
            session: SessionId::new(1),
            client: "web".into(),
            committed: 10,
            covered: 10,
            gaps: 3,
            gap_rows: 3,
            quarantined: 0,
            quarantine_rows: 0,
        };
        let (first, last, counted) = (sums(100), sums(150), sums(50));
        let ledger = LedgerEvidence {
            session: SessionId::new(1),
            nic: NicId(7),
            first,
            last,
            counted,
            uncounted_seqs: 0,
        };
        let nic = NicEvidence {
            nic: NicId(7),
            client: "web".into(),
            name: "eth0".into(),
            five_minutes: sums(30),
            expired: sums(15),
            gaps: sums(5),
            raw: (sums(20), sums(20)),
            minutes: (sums(25), sums(25)),
        };
        Evidence {
            sessions: vec![session],
            ledgers: vec![ledger],
            nics: vec![nic],
            ..Evidence::default()
        }
    }

    #[test]
    fn what_adds_up_is_sound() {
        let report = judge(&evidence()).report;
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!((report.sessions, report.nics[0].totals), (1, sums(50)));
        assert_eq!((report.nics[0].counted, report.nics[0].in_gaps), (sums(50), sums(5)));
    }

    #[test]
    fn what_is_missing_is_explained_by_gaps_without_counts_and_what_is_too_much_is_not() {
        let mut evidence = evidence();
        evidence.ledgers[0].uncounted_seqs = 2;
        evidence.ledgers[0].last = sums(160);
        let report = judge(&evidence).report;
        assert!(report.is_sound(), "{:?}", report.findings);
        let [nic] = &report.nics[..] else { panic!("{report:?}") };
        assert_eq!((nic.counted, nic.uncounted, nic.totals), (sums(50), sums(10), sums(60)));
        evidence.ledgers[0].last = sums(140);
        assert_eq!(judge(&evidence).report.findings.len(), 1);
    }

    #[test]
    fn only_what_every_reading_finds_is_told() {
        let reading = |covered, stored, rows| {
            let mut evidence = evidence();
            evidence.sessions[0].covered = covered;
            evidence.nics[0].five_minutes = sums(stored);
            evidence.nics[0].raw.0 = sums(rows);
            judge(&evidence)
        };
        let first = reading(9, 31, 20);
        let second = reading(10, 32, 19).lasting(&first);
        let third = reading(10, 33, 19).lasting(&second);
        let report = third.report;
        assert_eq!((report.readings, report.fleeting), (3, 1));
        // Findings of only the second reading are left out; of the lasting one, the newest text is
        // reported.
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert!(report.findings[0].contains("bandwidth_5m and gaps say rx 53 "), "{report:?}");
        let last = reading(10, 30, 20).lasting(&reading(10, 31, 20)).report;
        assert!(last.is_sound() && last.fleeting == 1, "{last:?}");
    }

    #[test]
    fn each_break_is_found_and_named() {
        type Break = fn(&mut Evidence);
        let breaks: [(Break, &str); 8] = [
            (|it| it.sessions[0].covered = 9, "cover 9"),
            (|it| it.sessions[0].gap_rows = 2, "gaps cover 2"),
            (|it| it.sessions[0].quarantine_rows = 1, "quarantine covers 1"),
            (
                |it| (it.sessions[0].quarantined, it.sessions[0].quarantine_rows) = (1, 1),
                "1 sequence numbers were refused",
            ),
            (|it| it.ledgers[0].last = sums(151), "grew by rx 51 bytes"),
            (|it| it.nics[0].five_minutes = sums(31), "bandwidth_5m and gaps say rx 51"),
            (|it| it.nics[0].raw.0 = sums(19), "bandwidth_stats say rx 19"),
            (|it| it.nics[0].minutes.0 = sums(24), "bandwidth_1m say rx 24"),
        ];
        for (break_it, words) in breaks {
            let mut evidence = evidence();
            break_it(&mut evidence);
            let findings = judge(&evidence).report.findings;
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].contains(words) && findings[0].contains("web"), "{findings:?}");
        }
    }
}
