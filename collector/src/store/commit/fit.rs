//! Fits a batch to the tables: splits samples that are too large for a row, and quarantines frames that
//! no row can hold.

use std::sync::Arc;

use crate::store::rows::batch::Batch;
use crate::store::rows::split::{fit_frame, is_fit};

/// Makes every sample of a batch small enough for a row. Frames that can't be split enough, and those
/// beyond any link, go to quarantine.
pub fn fit(batch: &mut Batch) {
    let Batch { sessions, refused, .. } = batch;
    for session in sessions {
        if session.frames.iter().all(is_fit) {
            continue;
        }
        for frame in Arc::make_mut(session).frames.iter_mut().filter(|it| !is_fit(it)) {
            if let Err(reason) = fit_frame(frame) {
                refused.insert((frame.session, frame.first_seq), reason.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::frame::{Counts, Frame, KernelCounts, Sample};
    use wire::id::SessionId;

    use super::*;
    use crate::store::rows::batch::SessionBatch;
    use crate::store::rows::epoch::Epoch;
    use crate::store::rows::split::rows;
    use wire::{Bytes, Packets, Seq};

    #[test]
    fn what_can_not_be_kept_is_told_and_the_rest_fitted() {
        let nic = wire::id::NicName::new("eth0").unwrap();
        let frame = |seq, sample: Sample| Frame {
            session: SessionId::new(1),
            first_seq: seq,
            last_seq: seq,
            gap: 0,
            samples: vec![Sample { nic, interval_ns: 60_000_000_000, ..sample }],
            mixes: vec![],
            talkers: vec![],
        };
        let of = |bytes, packets| Sample {
            rx: Counts { bytes, packets, ..Counts::default() },
            ..Sample::default()
        };
        let kernel = KernelCounts { errors: Packets(u64::MAX), ..KernelCounts::default() };
        let frames = vec![
            frame(Seq(1), of(Bytes(7), Packets(1))),
            frame(Seq(2), of(Bytes(1 << 62), Packets(1))),
            frame(Seq(3), of(Bytes(1 << 40), Packets(3 << 31))),
            frame(Seq(4), of(Bytes(1 << 40), Packets(1 << 50))),
            frame(Seq(5), Sample { kernel, ..of(Bytes(5), Packets(1)) }),
        ];
        let client = wire::id::ClientId::new("web").unwrap();
        let session =
            SessionBatch::new(client, SessionId::new(1), Epoch(1), Seq(0), frames.clone());
        let mut batch = Batch::new(vec![session]);
        fit(&mut batch);
        let reason = |seq| batch.refused.get(&(SessionId::new(1), seq)).map(ToString::to_string);
        let link = "4611686018427387904 on NIC eth0 is more than any link carries \
                    (86400000000000000)";
        assert_eq!(reason(Seq(2)).as_deref(), Some(link));
        assert_eq!(reason(Seq(4)).as_deref(), Some("a figure is larger than its column holds"));
        assert_eq!(batch.refused.len(), 2);
        let fitted: Vec<&Frame> = batch.frames().collect();
        for (at, parts) in [(0, 1), (1, 1), (2, 4), (3, 1), (4, 1)] {
            assert_eq!(fitted[at].samples.len(), parts, "{at}");
        }
        assert_eq!((fitted[1], fitted[3]), (&frames[1], &frames[3]), "unchanged");
        assert_eq!(fitted[4].samples[0].kernel, KernelCounts::default());
        assert_ne!(fitted[4].samples[0].flags & wire::frame::flags::NO_KERNEL_COUNTS, 0);
        assert_eq!(frames.iter().map(rows).sum::<usize>(), 1 + 1 + 4 + 1 + 1);
    }
}
