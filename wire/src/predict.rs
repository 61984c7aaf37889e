//! Prediction: figures of a frame that follow from others become zero, which packing leaves out.
//!
//! Most samples start where the previous one ends, have the same length, raise the totals by their
//! counts, and have equal kernel and tap counts. Only the differences from that prediction are sent.
//! They may have any value, so every frame can be restored exactly.
//!
//! Talkers of a list have much in common with their neighbours: protocol, port, network, owner. Those of
//! both directions are often the same.

use crate::frame::{Frame, Sample};
use crate::talkers::{Talker, TalkerKey, Talkers};

/// Replaces figures by their differences from the prediction.
pub fn to_differences(frame: &mut Frame) {
    // Start with the last sample: each prediction needs the previous sample unchanged.
    for n in (0..frame.samples.len()).rev() {
        change(&mut frame.samples, n, u64::wrapping_sub);
    }
    for Talkers { rx, tx, .. } in &mut frame.talkers {
        let mut all: Vec<&mut Talker> = rx.talkers.iter_mut().chain(&mut tx.talkers).collect();
        for n in (1..all.len()).rev() {
            let before = *all[n - 1];
            change_talker(all[n], &before);
        }
    }
}

/// Undoes [`to_differences`].
pub fn from_differences(frame: &mut Frame) {
    for n in 0..frame.samples.len() {
        change(&mut frame.samples, n, u64::wrapping_add);
    }
    for Talkers { rx, tx, .. } in &mut frame.talkers {
        let mut before = None;
        for talker in rx.talkers.iter_mut().chain(&mut tx.talkers) {
            if let Some(before) = &before {
                change_talker(talker, before);
            }
            before = Some(*talker);
        }
    }
}

/// Combines the figures of a talker with those of the one before it. Doing it
/// again undoes it.
fn change_talker(talker: &mut Talker, before: &Talker) {
    let Talker { key, owner, .. } = talker;
    let TalkerKey { kind, protocol, port, address, other } = key;
    *kind ^= before.key.kind;
    *protocol ^= before.key.protocol;
    *port ^= before.key.port;
    let foretold = before.key.address.iter().chain(&before.key.other);
    for (byte, foretold) in address.iter_mut().chain(other).zip(foretold) {
        *byte ^= foretold;
    }
    *owner ^= before.owner;
}

/// Combines each predictable figure of a sample with its prediction. The prediction uses the sample's
/// own unpredicted figures, and the previous sample if that has the same NIC.
fn change(samples: &mut [Sample], n: usize, by: fn(u64, u64) -> u64) {
    let (before, rest) = samples.split_at_mut(n);
    let Some(sample) = rest.first_mut() else { return };
    let Sample { nic, start_ns, interval_ns, rx, tx, kernel, .. } = sample;
    for (figure, foretold) in [
        (&mut kernel.rx_packets.0, rx.captured.0),
        (&mut kernel.tx_packets.0, tx.captured.0),
        (&mut kernel.rx_bytes.0, rx.bytes.0),
        (&mut kernel.tx_bytes.0, tx.bytes.0),
    ] {
        *figure = by(*figure, foretold);
    }
    let Some(before) = before.last().filter(|before| before.nic == *nic) else { return };
    start_ns.0 = by(start_ns.0, before.start_ns.0.wrapping_add(before.interval_ns));
    *interval_ns = by(*interval_ns, before.interval_ns);
    for (counts, before) in [(rx, &before.rx), (tx, &before.tx)] {
        let bytes = before.total_bytes.0.wrapping_add(counts.bytes.0);
        let packets = before.total_packets.0.wrapping_add(counts.packets.0);
        counts.total_bytes.0 = by(counts.total_bytes.0, bytes);
        counts.total_packets.0 = by(counts.total_packets.0, packets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::{Bytes, Packets};
    use crate::frame::{Counts, KernelCounts};
    use crate::id::{NicName, SessionId};
    use crate::seq::Seq;
    use crate::talkers::TalkerList;
    use crate::time::WallNs;

    fn sample(nic: &str, n: u64) -> Sample {
        let counts = Counts {
            bytes: Bytes(1000 + n),
            packets: Packets(10),
            captured: Packets(9),
            total_bytes: (1..=n).map(|n| Bytes(1000 + n)).sum(),
            total_packets: Packets(10 * n),
            ..Counts::default()
        };
        let kernel = KernelCounts {
            rx_packets: Packets(9),
            tx_packets: Packets(9),
            rx_bytes: Bytes(1000 + n),
            tx_bytes: Bytes(1000 + n),
            ..KernelCounts::default()
        };
        let (nic, start_ns) = (NicName::new(nic).unwrap(), 77 + n * 500);
        Sample {
            nic,
            start_ns: WallNs(start_ns),
            interval_ns: 500,
            rx: counts,
            tx: counts,
            kernel,
            ..Sample::default()
        }
    }

    #[test]
    fn what_a_talker_has_in_common_with_the_one_before_is_zero_and_comes_out_again() {
        let talker = |n: u8| Talker {
            key: TalkerKey { protocol: 6, port: 443, address: [n; 16], ..TalkerKey::default() },
            bytes: Bytes(7),
            owner: 3,
            ..Talker::default()
        };
        let list = |talkers: Vec<Talker>| TalkerList { talkers, ..TalkerList::default() };
        let record = Talkers {
            rx: list(vec![talker(1), talker(5)]),
            tx: list(vec![talker(5), talker(1)]),
            ..Talkers::default()
        };
        let frame = Frame {
            session: SessionId::new(1),
            first_seq: Seq(1),
            last_seq: Seq(1),
            gap: 0,
            samples: vec![],
            mixes: vec![],
            talkers: vec![record.clone(), record],
        };
        let mut changed = frame.clone();
        to_differences(&mut changed);
        let Talkers { rx, tx, .. } = &changed.talkers[1];
        assert_eq!(rx.talkers[0], talker(1));
        let equal = Talker { bytes: Bytes(7), ..Talker::default() };
        assert_eq!(tx.talkers[0], equal);
        let key = TalkerKey { address: [4; 16], ..TalkerKey::default() };
        assert_eq!([rx.talkers[1], tx.talkers[1]], [Talker { key, ..equal }; 2]);
        from_differences(&mut changed);
        assert_eq!(changed, frame);
    }

    #[test]
    fn what_follows_from_others_is_zero_and_comes_out_again() {
        let samples = vec![sample("eth0", 3), sample("eth0", 4), sample("eth1", 4)];
        let frame = Frame {
            session: SessionId::new(1),
            first_seq: Seq(1),
            last_seq: Seq(1),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        };
        let mut changed = frame.clone();
        to_differences(&mut changed);
        let second = changed.samples[1];
        assert_eq!((second.start_ns, second.interval_ns), (WallNs(0), 0));
        assert_eq!((second.tx.total_bytes, second.rx.total_packets), (Bytes(0), Packets(0)));
        assert_eq!(second.kernel, KernelCounts::default());
        assert_eq!(
            changed.samples[2].start_ns,
            WallNs(77 + 4 * 500),
            "no prediction from another NIC"
        );
        from_differences(&mut changed);
        assert_eq!(changed, frame);
    }
}
