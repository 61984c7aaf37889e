//! The 95th percentile.

use collector::store::{Commit, PercentileRange};
use wire::WallNs;
use wire::frame::{Sample, flags};

use super::place::{Place, opened};
use super::views::rate;
use crate::batches::{DAY, MINUTE, START, nic};

/// Sorts upwards and counts: of n rates, the one at place 95 n / 100, rounded up.
fn percentile_95(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[(rates.len() * 95).div_ceil(100) - 1]
}

pub async fn the_95th_percentile_is_what_transit_billing_takes(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    // 20 hours and 5 minutes of a past month. Three intervals are missing, and one has only a minute
    // measured.
    let (start, length) = (START - 400 * DAY, 241);
    let mut noise = 12_345_u64;
    let mut rates = (Vec::new(), Vec::new());
    let mut samples = Vec::new();
    for n in (0..length).filter(|n| ![7, 8, 100].contains(n)) {
        let minutes = if n == 50 { 1 } else { 5 };
        let mut interval = (0, 0);
        for minute in 0..minutes {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let (rx, tx) = (noise >> 25, noise >> 30 & 0xffff_ffff);
            interval = (interval.0 + rx, interval.1 + tx);
            let at = start + n * 5 * MINUTE + minute * MINUTE;
            samples.push(rate(at, MINUTE, (rx, 1), (tx, 1)));
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let per_second = |bytes: u64| bytes as f64 * 8.0 / (60.0 * minutes as f64);
        rates.0.push(per_second(interval.0));
        rates.1.push(per_second(interval.1));
    }
    for chunk in samples.chunks(500) {
        store.commit(&agent.next(chunk.to_vec())).await.unwrap();
    }
    let (client, nic) = ("web".to_owned(), Some("eth0".to_owned()));
    let (from_ns, to_ns) = (start - MINUTE, start + (length * 5 + 2) * MINUTE);
    let range = PercentileRange { client, nic, from_ns: WallNs(from_ns), to_ns: WallNs(to_ns) };
    let found = store.percentile(&range).await.unwrap();
    let expected = (percentile_95(rates.0), percentile_95(rates.1));
    let near = |found: u64, expected: f64| {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let found = found as f64;
        assert!((found - expected).abs() <= 1.0, "{found} {expected}");
    };
    let (rx, tx) = (found.rx_bits_per_second.unwrap(), found.tx_bits_per_second.unwrap());
    near(rx, expected.0);
    near(tx, expected.1);
    assert_eq!(found.max_bits_per_second(), Some(rx.max(tx)));
    assert_eq!((found.intervals, found.measured), (length, length - 3));
    assert_eq!((found.from_ns, found.to_ns), (WallNs(start), WallNs(start + length * 5 * MINUTE)));
    for (column, expected) in [
        ("measured_intervals", length - 3),
        ("rx_bits_per_second", rx),
        ("tx_bits_per_second", tx),
        ("max_bits_per_second", rx.max(tx)),
    ] {
        let monthly = format!("SELECT {column} FROM bandwidth_p95_monthly");
        assert_eq!(place.numbers(&monthly).await, [i64::try_from(expected).unwrap()], "{column}");
    }
    let one = PercentileRange { to_ns: WallNs(start + 5 * MINUTE), ..range.clone() };
    assert_eq!(store.percentile(&one).await.unwrap().measured, 1);
    for (client, nic) in [("web", Some("eth9")), ("nobody", None)] {
        let (client, nic) = (client.to_owned(), nic.map(str::to_owned));
        let other = PercentileRange { client, nic, ..range.clone() };
        let nothing = store.percentile(&other).await.unwrap();
        assert_eq!((nothing.measured, nothing.max_bits_per_second()), (0, None));
    }
}

pub async fn the_95th_percentile_of_a_client_is_that_of_its_nics_together(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let (minutes, each) = (100 * 5, 60);
    let mut samples = Vec::new();
    let mut rates = (Vec::new(), Vec::new());
    for n in 0..minutes / 5 {
        // One NIC is busy in the first intervals, the other in the last.
        let (first, second) = ((n % 37) * 1000 + n, (minutes - n) * 900);
        for minute in 0..5 {
            let at = START + (n * 5 + minute) * MINUTE;
            let eth0 = rate(at, MINUTE, (first * each, 1), (n, 1));
            let eth1 = rate(at, MINUTE, (second * each, 1), (n * 59, 1));
            let bond0 = Sample { flags: flags::STACKED, nic: nic("bond0"), ..eth0 };
            samples.extend([eth0, Sample { nic: nic("eth1"), ..eth1 }, bond0]);
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        rates.0.push(((first + second) * 8) as f64);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        rates.1.push((n * 8) as f64);
    }
    for chunk in samples.chunks(300) {
        store.commit(&agent.next(chunk.to_vec())).await.unwrap();
    }
    let (from_ns, to_ns) = (START, START + minutes * MINUTE);
    let range = PercentileRange {
        client: "web".into(),
        nic: None,
        from_ns: WallNs(from_ns),
        to_ns: WallNs(to_ns),
    };
    let found = store.percentile(&range).await.unwrap();
    assert_eq!((found.intervals, found.measured), (100, 100));
    let (rx, tx) = (found.rx_bits_per_second.unwrap(), found.tx_bits_per_second.unwrap());
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let found = (rx as f64, tx as f64);
    assert_eq!(found, (percentile_95(rates.0), percentile_95(rates.1)));
}
