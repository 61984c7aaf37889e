//! Which speeds of links mean something.

/// Kinds of NICs whose speed is that of a medium: of a port, or of what lies right over ports. What
/// drivers say of all others (10 Gbit/s of a veth, 10 Mbit/s of a tun) limits nothing.
const KINDS_WITH_SPEED: [&str; 4] = ["physical", "bond", "team", "vlan"];

/// The speed of a NIC's link, bit/s; 0 where there is none to speak of. `told_bits`: what its driver
/// says.
#[must_use]
pub fn link_speed(kind: &str, told_bits: u64) -> u64 {
    if KINDS_WITH_SPEED.contains(&kind) { told_bits } else { 0 }
}
