//! What is shown of NICs, and until when.

use super::*;

#[test]
fn the_inventory_says_what_a_nic_is() {
    let live = connected();
    let nic = Nic {
        name: NicName::new("eth0").unwrap(),
        kind: "physical".into(),
        speed_bits: 10_000_000_000,
        up: true,
        ..Nic::default()
    };
    live.on_inventory(&web1(), &Inventory { nics: vec![nic.clone()] });
    let shown = eth0(&live);
    assert_eq!((shown.kind.as_str(), shown.up, shown.stacked), ("physical", true, false));
    assert_eq!(shown.sample, None);
    live.on_inventory(&web1(), &Inventory { nics: vec![Nic { up: false, ..nic }] });
    assert!(!eth0(&live).up);
}

#[test]
fn only_a_medium_has_a_speed() {
    for (kind, speed) in [("physical", 10), ("bond", 10), ("veth", 0), ("tun", 0), ("bridge", 0)] {
        let live = connected();
        let (name, kind) = (NicName::new("eth0").unwrap(), kind.to_owned());
        let nic = Nic { name, kind, speed_bits: 10, ..Nic::default() };
        live.on_inventory(&web1(), &Inventory { nics: vec![nic] });
        assert_eq!(eth0(&live).speed_bits_per_second, speed, "{}", eth0(&live).kind);
    }
}

#[test]
fn a_nic_that_was_removed_disappears_after_five_minutes() {
    let live = connected();
    let nic = Nic { name: NicName::new("eth0").unwrap(), up: true, ..Nic::default() };
    live.on_inventory(&web1(), &Inventory { nics: vec![nic] });
    live.observe(&web1(), &frame(1, 1, START), WallNs(START));
    live.expire(WallNs(START + 10 * GONE_NS));
    assert!(eth0(&live).up, "listed");
    live.observe(&web1(), &frame(1, 2, START + 10 * GONE_NS), WallNs(START + 10 * GONE_NS));
    live.on_inventory(&web1(), &Inventory::default());
    live.expire(WallNs(START + 11 * GONE_NS));
    assert!(!eth0(&live).up);
    live.expire(WallNs(START + 11 * GONE_NS + 1));
    assert!(client(&live).nics.is_empty());
    // Its backlog doesn't bring it back.
    let later = START + 20 * GONE_NS;
    live.observe(&web1(), &frame(1, 3, START), WallNs(later));
    assert!(client(&live).nics.is_empty());
}

#[test]
fn a_sample_may_say_that_its_nic_is_stacked() {
    let live = connected();
    let mut stacked = frame(1, 1, START);
    stacked.samples[0].flags = flags::STACKED | flags::PARTIAL;
    live.observe(&web1(), &stacked, WallNs(START));
    assert!(eth0(&live).stacked);
    assert_eq!(eth0(&live).sample.unwrap().flags, ["stacked", "partial"]);
}
