//! The proof of `client_days` for `fsck`: each packed day is what the rows of `bandwidth_5m` pack to. Pure:
//! every store decides the same.

use std::collections::BTreeMap;
use std::fmt;

use crate::store::rows::client_days::{DaySums, PackedDay, start_of};
use crate::time::Time;

/// What was found in all packed days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct DaysProof {
    /// Number of packed days of clients.
    pub days: u64,
    /// By client.
    pub faults: BTreeMap<String, DaysFault>,
}

/// Faulty days of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct DaysFault {
    days: u64,
    first: u32,
}

impl DaysProof {
    /// Adds a day as it is stored, and the rows of the same day.
    pub fn add(&mut self, client: &str, day: u32, stored: &PackedDay, rows: &DaySums) {
        self.days += 1;
        if *stored == rows.pack() {
            return;
        }
        let fault = self.faults.entry(client.to_owned());
        let fault = fault.or_insert(DaysFault { days: 0, first: day });
        fault.days += 1;
        fault.first = fault.first.min(day);
    }
}

impl fmt::Display for DaysFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, first } = self;
        let are = if *days == 1 { "packed day is" } else { "packed days are" };
        let first = Time(start_of(*first));
        write!(
            f,
            "{days} {are} not what its rows of bandwidth_5m add up to, the first at {first}; groups show \
             what is packed. UPDATE client_days SET rates = NULL, version = version + 1 has all days packed \
             again"
        )
    }
}

#[cfg(test)]
mod tests {
    use wire::Bytes;

    use super::*;
    use crate::store::rows::series::Point;

    #[test]
    fn a_day_that_differs_in_one_byte_is_a_fault_of_its_client() {
        let mut rows = DaySums::of(20_000);
        let mut point = Point { start_ns: start_of(20_000), interval_ns: 7, ..Point::default() };
        point.rx.bytes = Bytes(5);
        rows.add(&point);
        let mut proof = DaysProof::default();
        proof.add("web", 20_000, &rows.pack(), &rows);
        assert_eq!((proof.days, proof.faults.len()), (1, 0));
        for (part, day) in (0..3).zip([20_003, 20_002, 20_001]) {
            let PackedDay { mut rates, mut figures, mut totals } = rows.pack();
            let bytes = [&mut rates, &mut figures, &mut totals].into_iter().nth(part).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            proof.add("web", day, &PackedDay { rates, figures, totals }, &rows);
        }
        assert_eq!(proof.faults["web"], DaysFault { days: 3, first: 20_001 });
        let text = proof.faults["web"].to_string();
        assert!(text.starts_with("3 packed days are") && text.contains("2024-10-05"), "{text}");
    }
}
