//! The verdict on one NIC: compares the offered traffic with the stored rows.

use std::fmt;

use crate::agent::{Offered, Outage};
use crate::stored::Row;
use crate::traffic::Sent;

/// Reason of gaps in which nothing was measured.
const UNMEASURED: u64 = 4;

/// Rounding of times in a store, nanoseconds.
const ROUNDING_NS: u64 = 2_000;

/// Largest difference between the agent's and the sender's time of a packet, nanoseconds.
const CLOCKS_NS: u64 = 1_000_000;

/// How early a NIC's unmeasured time may begin before its first sample, nanoseconds. It begins at the
/// start of the run if the ring opens after the first report.
const OPENING_NS: u64 = 500_000_000;

/// Longest time between a packet's journal time and the agent's count of it, nanoseconds. If an
/// interval or a kill ends in between, the packet counts in the next interval or in none.
const LATE_NS: u64 = 20_000_000;

/// Longest packet, bytes on the wire.
const LONGEST: u64 = 1514;

/// One direction of one NIC, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Counted by the sender's qdisc.
    pub offered: u64,
    /// In samples.
    pub stored: u64,
    /// In gap records.
    pub in_gaps: u64,
    /// Passed while a killed agent measured nothing: least and most.
    pub killed: (u64, u64),
    /// In packets that the ring dropped, estimated from their number: least and most.
    pub dropped: (u64, u64),
}

impl Account {
    /// Unexplained missing bytes (positive) or surplus bytes (negative).
    #[must_use]
    pub fn unexplained(&self) -> i128 {
        let known = i128::from(self.stored) + i128::from(self.in_gaps);
        let missing = i128::from(self.offered) - known;
        let sum = |a: u64, b: u64| i128::from(a) + i128::from(b);
        let least = sum(self.killed.0, self.dropped.0);
        let most = sum(self.killed.1, self.dropped.1);
        if missing < least {
            missing - least
        } else if missing > most {
            missing - most
        } else {
            0
        }
    }
}

/// The findings on one NIC.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Received, transmitted.
    pub accounts: [Account; 2],
    /// Unexplained missing packets (positive) or surplus packets (negative) of both directions. Ring
    /// drops are counted in packets.
    pub packets: i128,
    /// Packets that the ring dropped.
    pub drops: u64,
    /// Rows that overlap an earlier one: their start and the overlap.
    pub doubled: Vec<(u64, u64)>,
    /// For each outage, how long before it the time without rows began, nanoseconds.
    pub costs_ns: Vec<u64>,
    /// Times without rows that have no reason or are longer than their reason allows.
    pub unexplained_holes: Vec<(u64, u64)>,
}

impl Verdict {
    /// True if nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.doubled.is_empty()
            && self.packets == 0
            && self.unexplained_holes.is_empty()
            && self.accounts.iter().all(|account| account.unexplained() == 0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (direction, account) in ["rx", "tx"].iter().zip(&self.accounts) {
            let Account { offered, stored, in_gaps, killed, dropped } = account;
            writeln!(
                f,
                "  {direction} bytes: offered {offered:>11}  stored {stored:>11}  in gaps \
                 {in_gaps:>9}  while killed {:>9}  dropped {:>9}  unexplained {}",
                Range(*killed),
                Range(*dropped),
                account.unexplained()
            )?;
        }
        let Self { doubled, costs_ns, unexplained_holes, packets, drops, .. } = self;
        write!(
            f,
            "  packets: dropped {drops}, unexplained {packets}; rows: doubled {}; holes: \
             explained {}, which began up to {} ms before their kill, unexplained {}",
            doubled.len(),
            costs_ns.len(),
            costs_ns.iter().max().unwrap_or(&0) / 1_000_000,
            unexplained_holes.len()
        )?;
        for (from, overlap) in doubled {
            write!(f, "\n    a row at {from} overlaps by {overlap} ns")?;
        }
        unexplained_holes.iter().try_for_each(|(from, to)| {
            write!(f, "\n    nothing from {from} to {to} ({} ms)", (to - from) / 1_000_000)
        })
    }
}

/// Least and most; one number if they are equal.
struct Range((u64, u64));

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((least, most)) = self;
        let text = if least == most { least.to_string() } else { format!("{least}-{most}") };
        f.pad(&text)
    }
}

/// Judges a NIC by its rows, ordered by time. A kill may lose `open_ns` before it, and the store must
/// say in which period nothing was measured.
#[must_use]
pub fn judge(rows: &[&Row], offered: &[Offered; 2], outages: &[Outage], open_ns: u64) -> Verdict {
    let mut verdict = Verdict::default();
    let mut holes = Vec::new();
    let (told, rows): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.gap == UNMEASURED);
    let unmeasured = joined(&told);
    let begun_ns = offered.iter().filter_map(|it| it.journal.first()).map(|it| it.before_ns).min();
    let begun_ns = begun_ns.unwrap_or(0);
    let mut end_ns = rows.first().map_or(0, |row| row.start_ns.min(begun_ns));
    for row in &rows {
        if row.start_ns > end_ns + ROUNDING_NS {
            holes.push((end_ns, row.start_ns));
        } else if row.start_ns + ROUNDING_NS < end_ns {
            verdict.doubled.push((row.start_ns, end_ns - row.start_ns));
        }
        end_ns = end_ns.max(row.end_ns());
        for (account, bytes) in verdict.accounts.iter_mut().zip(row.bytes) {
            *(if row.gap == 0 { &mut account.stored } else { &mut account.in_gaps }) += bytes;
        }
    }
    // The time that a kill lost, if it was a kill and the store reports it.
    let cost_ns = |from: u64, to: u64| {
        let outage = outages.iter().find(|outage| {
            from + open_ns >= outage.from_ns && from <= outage.to_ns && to >= outage.from_ns
        })?;
        let tells = |&(start, end): &(u64, u64)| {
            start.abs_diff(from) <= ROUNDING_NS && end.abs_diff(to) <= OPENING_NS
        };
        // An agent killed before its first report can't report anything.
        let told = from == begun_ns || unmeasured.iter().any(tells);
        told.then(|| outage.from_ns.saturating_sub(from))
    };
    let (mut offered_packets, mut killed_packets) = (0, (0, 0));
    for (account, offered) in verdict.accounts.iter_mut().zip(offered) {
        account.offered = offered.bytes;
        offered_packets += offered.journal.len() as u64;
        for &(from, to) in holes.iter().filter(|(from, to)| cost_ns(*from, *to).is_some()) {
            add(&mut account.killed, bracket(&offered.journal, from, to, |sent| sent.bytes));
            add(&mut killed_packets, bracket(&offered.journal, from, to, |_| 1));
        }
    }
    verdict.drops = rows.iter().map(|row| row.drops).sum();
    for account in &mut verdict.accounts {
        account.dropped = (0, verdict.drops * LONGEST);
    }
    let stored: u64 = rows.iter().flat_map(|row| row.packets).sum();
    let missing = i128::from(offered_packets) - i128::from(stored) - i128::from(verdict.drops);
    let (least, most) = (i128::from(killed_packets.0), i128::from(killed_packets.1));
    verdict.packets = missing - missing.clamp(least, most);
    // An agent that was stopped and restarted reports no gap for the time between.
    holes.retain(|(from, to)| {
        offered.iter().any(|it| bracket(&it.journal, *from, *to, |_| 1).1 > 0)
    });
    for (from, to) in holes {
        match cost_ns(from, to) {
            Some(cost_ns) => verdict.costs_ns.push(cost_ns),
            None => verdict.unexplained_holes.push((from, to)),
        }
    }
    verdict
}

/// Judges a NIC by the sums of its rows and ignores their times: the clocks were wrong. Only traffic
/// around times without a running agent may be missing.
#[must_use]
pub fn judge_sums(rows: &[&Row], offered: &[Offered; 2], outages: &[Outage]) -> Verdict {
    let mut verdict =
        Verdict { drops: rows.iter().map(|row| row.drops).sum(), ..Verdict::default() };
    let (mut offered_packets, mut killed_packets) = (0, 0);
    for (direction, (account, offered)) in verdict.accounts.iter_mut().zip(offered).enumerate() {
        account.offered = offered.bytes;
        account.dropped = (0, verdict.drops * LONGEST);
        offered_packets += offered.journal.len() as u64;
        for row in rows {
            let into = if row.gap == 0 { &mut account.stored } else { &mut account.in_gaps };
            *into += row.bytes[direction];
        }
        let unmeasured = |sent: &&Sent| {
            outages.iter().any(|outage| {
                sent.after_ns >= outage.lost_from_ns && sent.before_ns <= outage.lost_to_ns
            })
        };
        let killed = offered.journal.iter().filter(unmeasured);
        account.killed = (0, killed.clone().map(|sent| sent.bytes).sum());
        killed_packets += killed.count() as u64;
    }
    let stored: u64 = rows.iter().flat_map(|row| row.packets).sum();
    let missing = i128::from(offered_packets) - i128::from(stored) - i128::from(verdict.drops);
    verdict.packets = missing - missing.clamp(0, i128::from(killed_packets));
    verdict
}

/// The times of contiguous rows, joined. An agent killed before its ring opens reports only the time
/// before its start; the next agent reports the rest.
fn joined(rows: &[&Row]) -> Vec<(u64, u64)> {
    let mut times: Vec<(u64, u64)> = Vec::new();
    for row in rows {
        match times.last_mut() {
            Some((_, end)) if row.start_ns <= *end + ROUNDING_NS => *end = row.end_ns().max(*end),
            _ => times.push((row.start_ns, row.end_ns())),
        }
    }
    times
}

fn add(sum: &mut (u64, u64), more: (u64, u64)) {
    *sum = (sum.0 + more.0, sum.1 + more.1);
}

/// Unmeasured traffic between two times: certain and possible.
fn bracket(journal: &[Sent], from: u64, to: u64, figure: impl Fn(&Sent) -> u64) -> (u64, u64) {
    let sum = |inside: &dyn Fn(&Sent) -> bool| {
        journal.iter().filter(|sent| inside(sent)).map(&figure).sum()
    };
    let (early, late) = (from.saturating_sub(LATE_NS), to + CLOCKS_NS);
    (
        sum(&|sent| sent.before_ns >= from + ROUNDING_NS && sent.after_ns <= to),
        sum(&|sent| sent.after_ns >= early && sent.before_ns <= late),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn row(start: u64, end: u64, bytes: u64, gap: u64) -> Row {
        let (start_ns, interval_ns) = (start * MS, (end - start) * MS);
        let packets = [bytes / 100, 0];
        Row { start_ns, interval_ns, bytes: [bytes, 0], packets, gap, ..Row::default() }
    }

    /// 100 bytes every 10 ms, for a second.
    fn offered() -> [Offered; 2] {
        let sent =
            |n: u64| Sent { before_ns: (n * 10 + 1) * MS, after_ns: (n * 10 + 2) * MS, bytes: 100 };
        let journal = (0..100).map(sent).collect();
        [Offered { bytes: 10_000, journal }, Offered { bytes: 0, journal: vec![] }]
    }

    fn judged(rows: &[Row], outages: &[Outage]) -> Verdict {
        judge(&rows.iter().collect::<Vec<_>>(), &offered(), outages, 200 * MS)
    }

    #[test]
    fn all_stored_is_sound_and_a_byte_less_is_not() {
        let rows = [row(0, 500, 5000, 0), row(500, 1000, 5000, 0)];
        assert!(judged(&rows, &[]).is_sound());
        let rows = [row(0, 500, 5000, 0), row(500, 1000, 4999, 0)];
        let verdict = judged(&rows, &[]);
        assert_eq!((verdict.accounts[0].unexplained(), verdict.packets), (1, 1));
        let rows = [row(0, 500, 5000, 0), row(500, 1000, 5001, 0)];
        assert_eq!(judged(&rows, &[]).accounts[0].unexplained(), -1);
    }

    #[test]
    fn by_sums_a_wrong_clock_is_no_loss_and_a_byte_less_is_one() {
        let sums = |rows: &[Row], outages: &[Outage]| {
            judge_sums(&rows.iter().collect::<Vec<_>>(), &offered(), outages)
        };
        let rows = [row(90_000, 90_500, 5000, 0), row(0, 400, 4000, 0), row(5, 905, 1000, 1)];
        assert!(sums(&rows, &[]).is_sound());
        assert!(!sums(&rows[..2], &[]).is_sound());
        assert!(!sums(&[&rows[..], &rows[2..]].concat(), &[]).is_sound(), "twice");
        let (lost_from_ns, lost_to_ns) = (500 * MS, 600 * MS);
        let outage = Outage { lost_from_ns, lost_to_ns, ..Outage::default() };
        assert!(sums(&rows[..2], &[outage]).is_sound());
    }

    #[test]
    fn what_the_ring_dropped_is_explained_by_its_number() {
        let mut rows = [row(0, 500, 5000, 0), row(500, 1000, 4800, 0)];
        rows[1].drops = 2;
        let verdict = judged(&rows, &[]);
        assert!(verdict.is_sound(), "{verdict}");
        assert_eq!(verdict.accounts[0].dropped, (0, 2 * LONGEST));
        rows[1].drops = 3;
        assert_eq!(judged(&rows, &[]).packets, -1);
    }

    #[test]
    fn a_row_that_is_there_twice_is_found() {
        let rows = [row(0, 500, 5000, 0), row(0, 500, 5000, 0), row(500, 1000, 5000, 0)];
        let verdict = judged(&rows, &[]);
        assert_eq!(verdict.doubled, [(0, 500 * MS)]);
        assert_eq!(verdict.accounts[0].unexplained(), -5000);
    }

    #[test]
    fn a_kill_explains_what_passed_meanwhile_and_no_more() {
        let rows = [row(0, 400, 4000, 0), row(400, 700, 0, 4), row(700, 1000, 3000, 0)];
        let outage = |from, to| Outage { from_ns: from * MS, to_ns: to * MS, ..Outage::default() };
        let verdict = judged(&rows, &[outage(550, 650)]);
        assert!(verdict.is_sound(), "{verdict}");
        assert_eq!((verdict.accounts[0].killed, verdict.costs_ns), ((3000, 3300), vec![150 * MS]));
        let verdict = judged(&rows, &[outage(650, 660)]);
        assert_eq!(verdict.unexplained_holes, [(400 * MS, 700 * MS)], "it costs too much");
        assert!(!judged(&rows, &[]).is_sound());
        let twice = [rows[0].clone(), row(400, 600, 0, 4), row(600, 700, 0, 4), rows[2].clone()];
        assert!(judged(&twice, &[outage(550, 650)]).is_sound(), "told in two parts");
        let untold = [rows[0].clone(), rows[2].clone()];
        assert!(!judged(&untold, &[outage(550, 650)]).is_sound());
    }

    #[test]
    fn a_kill_before_the_first_report_explains_what_passed_until_the_next_start() {
        let rows = [row(700, 1000, 3000, 0)];
        let outage = |from, to| Outage { from_ns: from * MS, to_ns: to * MS, ..Outage::default() };
        assert!(judged(&rows, &[outage(150, 650)]).is_sound());
        assert!(!judged(&rows, &[outage(300, 650)]).is_sound(), "there was time for a report");
        assert!(!judged(&rows, &[]).is_sound());
    }

    #[test]
    fn a_gap_record_explains_its_bytes() {
        let rows = [row(0, 500, 5000, 0), row(500, 1000, 5000, 1)];
        let verdict = judged(&rows, &[]);
        assert!(verdict.is_sound());
        assert_eq!(verdict.accounts[0].in_gaps, 5000);
    }
}
