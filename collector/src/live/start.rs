//! When the counter of a NIC began at zero.

use wire::WallNs;
use wire::frame::Sample;
use wire::message::Session;

use super::counter::Totals;

/// When counting of a sample's NIC began, by the collector's clock, 0: unknown. `started` is the session's start by the client's clock, which is ahead by `offset_ns`.
pub(super) fn counted_since(
    sample: &Sample,
    started: Option<&Session>,
    offset_ns: Option<i64>,
    now_ns: WallNs,
) -> WallNs {
    let began_ns = if Totals::counted_in(sample) == Totals::of(sample) {
        // Its totals are its own counts: it is the first one.
        sample.start_ns
    } else {
        let Some(session) = started else { return WallNs(0) };
        session.started_ns.min(sample.start_ns)
    };
    began_ns.saturating_add_signed(offset_ns.unwrap_or_default().saturating_neg()).min(now_ns)
}

#[cfg(test)]
mod tests {
    use wire::frame::Counts;
    use wire::id::SessionId;

    use super::*;
    use wire::Bytes;

    const SECOND: i64 = 1_000_000_000;

    fn sample(bytes: u64, total_bytes: u64) -> Sample {
        let rx =
            Counts { bytes: Bytes(bytes), total_bytes: Bytes(total_bytes), ..Counts::default() };
        Sample { start_ns: WallNs(5000), rx, ..Sample::default() }
    }

    #[test]
    fn the_first_sample_of_a_nic_is_the_start_and_else_its_session() {
        let session = Session { session: SessionId::new(1), started_ns: WallNs(700) };
        let since = |sample, session| counted_since(&sample, session, None, WallNs(9000));
        assert_eq!(since(sample(10, 10), Some(&session)), WallNs(5000));
        assert_eq!(since(sample(10, 30), Some(&session)), WallNs(700));
        assert_eq!(since(sample(10, 30), None), WallNs(0), "unknown");
    }

    #[test]
    fn it_is_by_the_collectors_clock_and_not_in_the_future() {
        let since = |offset, now| counted_since(&sample(1, 1), None, Some(offset), WallNs(now));
        assert_eq!(since(1000, 9000), WallNs(4000));
        assert_eq!(since(-1000, 9000), WallNs(6000));
        assert_eq!(since(-SECOND, 9000), WallNs(9000));
        assert_eq!(since(i64::MIN, 9000), WallNs(9000));
    }
}
