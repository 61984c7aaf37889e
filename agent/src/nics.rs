//! `agent nics`: every NIC of this host, and whether it is captured, or why not.

use std::io::{self, Write};

use crate::nic::choose::{Choice, choose};
use crate::nic::driver::Drivers;
use crate::nic::inventory::{InventoryError, NicList};
use crate::nic::link::Link;
use crate::sampler::CaptureConfig;
use crate::sampler::memory::plan;
use settings::units::bits_per_second;
use settings::{Foreign, Size, columns};
use wire::message::link_speed;

/// Why the NICs can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum NicsError {
    /// The kernel doesn't list them.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The output is closed or full.
    #[error("can't print the NICs")]
    Print(#[from] io::Error),
}

/// A NIC, and what its driver says.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The NIC.
    pub link: Link,
    /// As its driver says, bit/s; 0 where unknown.
    pub speed_bits: u64,
    /// Short names of the enabled ones; `None` where unknown.
    pub offloads: Option<Vec<&'static str>>,
    /// Consequence for capture.
    pub choice: Choice,
    /// Memory of its rings, bytes; 0 where it is not captured, `None` where there is none left.
    pub ring_bytes: Option<u64>,
}

/// Every NIC, and what `agent run` would do with it now.
///
/// # Errors
/// [`InventoryError`] if the kernel doesn't list them.
pub fn examine(capture: &CaptureConfig) -> Result<Vec<Examined>, InventoryError> {
    let links = NicList::open()?.links()?;
    let mut drivers = Drivers::open();
    let choices = choose(&links, &capture.filter);
    let captured = |choice: &Choice| matches!(choice, Choice::Capture { .. });
    let count = choices.iter().filter(|choice| captured(choice)).count();
    let CaptureConfig { ring, rings_per_nic, ring_memory, .. } = capture;
    let mut memory = plan(ring, *rings_per_nic, *ring_memory, count).into_iter();
    let examined = |(link, choice): (Link, Choice)| Examined {
        speed_bits: drivers.speed_bits(&link),
        offloads: drivers.offloads(&link),
        ring_bytes: if captured(&choice) { memory.next().flatten() } else { Some(0) },
        link,
        choice,
    };
    Ok(links.into_iter().zip(choices).map(examined).collect())
}

/// Prints a line per NIC: what it is, and what `agent run` does about it.
///
/// # Errors
/// [`NicsError`] if the NICs can't be listed or printed.
pub fn nics(capture: &CaptureConfig, out: &mut impl Write) -> Result<(), NicsError> {
    print(&examine(capture)?, out)?;
    Ok(())
}

fn print(nics: &[Examined], out: &mut impl Write) -> io::Result<()> {
    const HEADING: [&str; 8] =
        ["NIC", "KIND", "STATE", "MTU", "SPEED", "RING", "CAPTURED", "OFFLOADS"];
    let row = |nic: &Examined| {
        [
            Foreign(&nic.link.name.to_string()).to_string(),
            Foreign(&nic.link.kind).to_string(),
            state(&nic.link).to_owned(),
            nic.link.mtu.to_string(),
            speed(link_speed(&nic.link.kind, nic.speed_bits)),
            ring(nic.ring_bytes),
            captured(nic),
            nic.offloads.as_ref().map_or_else(|| "unknown".to_owned(), |all| all.join(" ")),
        ]
    };
    let heading = HEADING.map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(heading).chain(nics.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0);
    let [nic, kind, state, mtu, speed, memory, captured, _] = std::array::from_fn(width);
    for [name, of_kind, in_state, of_mtu, of_speed, of_ring, is_captured, offloads] in &rows {
        let (name, of_kind) = (Foreign(name), Foreign(of_kind));
        let line = format!(
            "{name:nic$}  {of_kind:kind$}  {in_state:state$}  {of_mtu:>mtu$}  {of_speed:>speed$}  \
             {of_ring:>memory$}  {is_captured:captured$}  {offloads}"
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()
}

const fn state(link: &Link) -> &'static str {
    match (link.up, link.running) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "down",
    }
}

/// Speed of a link with its unit, or `-`. What the drivers of virtual NICs say limits nothing.
fn speed(bits: u64) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    if bits == 0 { "-".to_owned() } else { bits_per_second(bits / 8, SECOND_NS) }
}

/// Memory of a NIC's rings, or `-`.
fn ring(bytes: Option<u64>) -> String {
    bytes.filter(|bytes| *bytes > 0).map_or_else(|| "-".to_owned(), |bytes| Size(bytes).to_string())
}

fn captured(nic: &Examined) -> String {
    match (nic.choice, nic.ring_bytes) {
        (Choice::Capture { .. }, None) => {
            "no: all memory for rings is in use; raise monitor.ring.memory".to_owned()
        }
        (Choice::Capture { stacked: false }, _) => "yes".to_owned(),
        (Choice::Capture { stacked: true }, _) => {
            "yes, stacked: not part of the host's total".to_owned()
        }
        (Choice::Skip(reason), _) => format!("no: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::choose::Reason;
    use crate::nic::link::Class;

    fn nic(name: &str, kind: &str, choice: Choice) -> Examined {
        let link = Link {
            kind: kind.to_owned(),
            up: choice != Choice::Skip(Reason::Down),
            ..Link::up(1, name, Class::Physical)
        };
        let ring_bytes = Some(if matches!(choice, Choice::Skip(_)) { 0 } else { 16 << 20 });
        Examined { link, speed_bits: 0, offloads: Some(Vec::new()), choice, ring_bytes }
    }

    #[test]
    fn every_nic_has_a_line_that_says_whether_it_is_captured_or_why_not() {
        let yes = Choice::Capture { stacked: false };
        let nics = [
            nic("lo", "loopback", Choice::Skip(Reason::Loopback)),
            Examined {
                speed_bits: 10_000_000_000,
                offloads: Some(vec!["tso", "gro"]),
                ..nic("eth0", "physical", yes)
            },
            nic("eth0.7", "vlan", Choice::Capture { stacked: true }),
            Examined { offloads: None, ..nic("eth1", "physical", Choice::Skip(Reason::Down)) },
            Examined { ring_bytes: None, ..nic("eth2", "physical", yes) },
            Examined { speed_bits: 10_000_000_000, ..nic("veth0", "veth", yes) },
        ];
        let mut out = Vec::new();
        print(&nics, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "\
NIC     KIND      STATE   MTU        SPEED   RING  CAPTURED                                                       OFFLOADS
lo      loopback  up     1500            -      -  no: loopback; capture it by monitor.nics.include
eth0    physical  up     1500  10.0 Gbit/s  16MiB  yes                                                            tso gro
eth0.7  vlan      up     1500            -  16MiB  yes, stacked: not part of the host's total
eth1    physical  down   1500            -      -  no: down; captured as soon as it is up                         unknown
eth2    physical  up     1500            -      -  no: all memory for rings is in use; raise monitor.ring.memory
veth0   veth      up     1500            -  16MiB  yes
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_name_of_wide_characters_shifts_no_column() {
        let yes = Choice::Capture { stacked: false };
        let nics = [nic("eth0", "physical", yes), nic("网卡0", "physical", yes)];
        let mut out = Vec::new();
        print(&nics, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let place = |line: &str| columns(line.split("physical").next().unwrap_or_default());
        assert_eq!(text.lines().skip(1).map(place).collect::<Vec<_>>(), [7, 7], "{text}");
    }
}
