//! Tests of a client's usage.

use wire::frame::Sample;
use wire::id::SessionId;
use wire::message::Nic;
use wire::talkers::Talkers;

use super::*;
use wire::Seq;

const fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn frame(nics: std::ops::Range<usize>) -> Frame {
    let nic = |n: usize| NicName::new(&format!("eth{n}")).unwrap();
    let samples = nics.map(|n| Sample { nic: nic(n), ..Sample::default() }).collect();
    Frame {
        session: SessionId::new(1),
        first_seq: Seq(1),
        last_seq: Seq(1),
        gap: 0,
        samples,
        mixes: vec![],
        talkers: vec![],
    }
}

#[test]
fn an_agent_with_2500_nics_at_10_ms_never_waits() {
    let mut usage = Usage::new(&ClientLimits::default());
    for interval in 0..300 {
        let now = at(interval * 10);
        for n in (0..2500).step_by(4) {
            assert_eq!(usage.wait(&Limit::READING, now), None);
            usage.take_bytes(1150, now);
            usage.take_frame(&frame(n..n + 4), now);
        }
    }
    assert!(usage.untold(at(3000)).is_empty());
}

#[test]
fn lists_of_talkers_are_rows_and_name_nics() {
    let limits = ClientLimits { rows: 10, nics: 3, ..ClientLimits::default() };
    let record =
        |n: usize| Talkers { nic: NicName::new(&format!("eth{n}")).unwrap(), ..Talkers::default() };
    let frame = |nics| Frame { talkers: (0..nics).map(record).collect(), ..frame(0..0) };
    for (nics, over) in [(3, None), (4, Some(Limit::Nics))] {
        let mut usage = Usage::new(&limits);
        usage.take_frame(&frame(nics), at(0));
        assert_eq!(usage.wait(&[Limit::Nics], at(0)).map(|it| it.0), over);
    }
    let mut usage = Usage::new(&limits);
    (0..2).for_each(|_| usage.take_frame(&frame(3), at(0)));
    assert_eq!(usage.wait(&[Limit::Rows], at(0)).map(|it| it.0), Some(Limit::Rows));
}

#[test]
fn who_invents_nics_waits_and_is_told_once_an_hour() {
    let mut usage = Usage::new(&ClientLimits { nics: 100, ..ClientLimits::default() });
    usage.take_frame(&frame(0..100), at(0));
    usage.take_frame(&frame(0..100), at(1));
    assert_eq!(usage.wait(&Limit::READING, at(1)), None);
    usage.take_frame(&frame(0..200), at(2));
    let (limit, wait) = usage.wait(&Limit::READING, at(2)).unwrap();
    assert_eq!(limit, Limit::Nics);
    assert!((59..=60).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(usage.untold(at(3)), [Limit::Nics]);
    assert!(usage.wait(&Limit::READING, at(4)).is_some());
    assert!(usage.untold(at(5)).is_empty());
    assert_eq!(usage.lately(at(6)).collect::<Vec<_>>(), [Limit::Nics]);
    let hour = at(3_600_100);
    usage.on_over(Limit::Nics, hour);
    assert_eq!(usage.untold(hour), [Limit::Nics]);
    assert!(!usage.is_fresh(hour) && usage.is_fresh(hour * 4));
}

#[test]
fn an_inventory_costs_what_has_changed_and_waits_if_that_is_too_much() {
    let nic = |n: usize, up| Nic {
        name: NicName::new(&format!("eth{n}")).unwrap(),
        up,
        ..Nic::default()
    };
    let inventory = |up| Inventory { nics: (0..2500).map(|n| nic(n, up)).collect() };
    let mut usage = Usage::new(&ClientLimits::default());
    for flap in 0..7 {
        assert_eq!(usage.wait(&Limit::INVENTORY, at(flap)), None, "{flap}");
        usage.take_inventory(&inventory(flap % 2 == 0), at(flap));
    }
    usage.take_inventory(&inventory(false), at(7));
    let (limit, wait) = usage.wait(&Limit::INVENTORY, at(7)).unwrap();
    assert_eq!(limit, Limit::Links);
    assert!((9_000..=10_000).contains(&wait.as_millis()), "{wait:?}");
    // The same again changes nothing.
    for n in 0..200 {
        usage.take_inventory(&inventory(false), at(60_000 + n));
    }
    assert_eq!(usage.wait(&Limit::INVENTORY, at(60_200)), None);
}

#[test]
fn an_inventory_of_invented_nics_waits_though_no_frame_is_sent() {
    let inventory = |from: usize| {
        let nic = |n| Nic { name: NicName::new(&format!("n{n}")).unwrap(), ..Nic::default() };
        Inventory { nics: (from..from + 3000).map(nic).collect() }
    };
    let mut usage = Usage::new(&ClientLimits::default());
    for from in [0, 3000] {
        assert_eq!(usage.wait(&Limit::INVENTORY, at(0)), None);
        usage.take_inventory(&inventory(from), at(0));
    }
    let (limit, _) = usage.wait(&Limit::INVENTORY, at(1)).unwrap();
    assert_eq!(limit, Limit::Nics);
    assert_eq!(usage.untold(at(2)), [Limit::Nics]);
}

#[test]
fn changes_of_tags_on_their_way_to_the_store_count_both_there_and_back() {
    let tags = |text: &str| TagSet::new([text.parse().unwrap()]).unwrap();
    let (old, new) = (tags("site=ams"), tags("site=fra"));
    let mut usage = Usage::new(&ClientLimits { retags: 12, ..ClientLimits::default() });
    // The store has taken none of these yet.
    let taken = (0..40).filter(|n| {
        let asked = if n % 2 == 0 { &new } else { &old };
        usage.take_tags(asked, &old, at(*n))
    });
    // Twelve an hour, and the one that is over it.
    assert_eq!(taken.count(), 13);
    assert_eq!(usage.untold(at(41)), [Limit::Retags]);
    // Those that it has, again.
    assert!(usage.take_tags(&new, &new, at(50)) && !usage.take_tags(&old, &new, at(51)));
    assert!(Usage::new(&ClientLimits { retags: 1, ..ClientLimits::default() }).take_tags(
        &old,
        &old,
        at(0)
    ));
}

#[test]
fn every_limit_says_its_key_and_its_figure() {
    let limits = ClientLimits::default();
    for limit in Limit::ALL {
        let said = limit.said(&limits);
        assert!(said.contains(&format!("limits.client.{} ", limit.name())), "{said}");
    }
    let said = Limit::Bytes.said(&limits);
    assert!(said.contains("(128MiB a second)"), "{said}");
}
