//! `agent nics`: every NIC of this host, and whether it is captured, or why not.

use std::io::{self, Write};

use crate::nic::choose::{Choice, NicFilter, choose};
use crate::nic::inventory::{Inventory, InventoryError, speed_bits};
use crate::nic::link::Link;
use settings::units::bits_per_second;

/// Why the NICs can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum NicsError {
    /// The kernel doesn't list them.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The output is closed or full.
    #[error("can't print the NICs: {0}")]
    Print(#[from] io::Error),
}

/// Prints a line per NIC: what it is, and what `agent run` does about it under this filter.
///
/// # Errors
/// [`NicsError`] if the NICs can't be listed or printed.
pub fn nics(filter: &NicFilter, out: &mut impl Write) -> Result<(), NicsError> {
    let links = Inventory::open()?.links()?;
    let speeds: Vec<u64> = links.iter().map(|link| speed_bits(&link.name.to_string())).collect();
    print(&links, &speeds, filter, out)?;
    Ok(())
}

fn print(
    links: &[Link],
    speeds: &[u64],
    filter: &NicFilter,
    out: &mut impl Write,
) -> io::Result<()> {
    const HEADING: [&str; 6] = ["NIC", "KIND", "STATE", "MTU", "SPEED", "CAPTURED"];
    let row = |((link, choice), speed): ((&Link, Choice), &u64)| {
        [
            link.name.to_string(),
            link.kind.clone(),
            state(link).to_owned(),
            link.mtu.to_string(),
            speed_text(*speed),
            captured(choice),
        ]
    };
    let rows = links.iter().zip(choose(links, filter)).zip(speeds).map(row);
    let rows: Vec<[String; 6]> = std::iter::once(HEADING.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let [nic, kind, state, mtu, speed] = std::array::from_fn(width);
    for [name, of_kind, in_state, of_mtu, of_speed, captured] in &rows {
        writeln!(
            out,
            "{name:nic$}  {of_kind:kind$}  {in_state:state$}  {of_mtu:>mtu$}  {of_speed:>speed$}  \
             {captured}"
        )?;
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

fn speed_text(bits: u64) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    if bits == 0 { "-".to_owned() } else { bits_per_second(bits / 8, SECOND_NS) }
}

fn captured(choice: Choice) -> String {
    match choice {
        Choice::Capture { stacked: false } => "yes".to_owned(),
        Choice::Capture { stacked: true } => {
            "yes, stacked: not part of the host's total".to_owned()
        }
        Choice::Skip(reason) => format!("no: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use wire::id::NicName;

    use super::*;
    use crate::nic::link::Class;

    fn link(index: u32, name: &str, kind: &str, class: Class) -> Link {
        Link {
            index,
            name: NicName::new(name).unwrap(),
            kind: kind.to_owned(),
            class,
            up: true,
            running: true,
            mac: [0; 6],
            mtu: 1500,
            lower: None,
            master: None,
            peer: None,
            xdp: false,
        }
    }

    #[test]
    fn every_nic_has_a_line_that_says_whether_it_is_captured_or_why_not() {
        let links = [
            link(1, "lo", "loopback", Class::Loopback),
            link(2, "eth0", "physical", Class::Physical),
            Link { lower: Some(2), ..link(3, "eth0.7", "vlan", Class::Upper) },
            Link { up: false, ..link(4, "eth1", "physical", Class::Physical) },
        ];
        let glob = globset::Glob::new("eth0.*").unwrap().compile_matcher();
        let filter = NicFilter { include: vec![glob], ..NicFilter::default() };
        let mut out = Vec::new();
        print(&links, &[0, 10_000_000_000, 0, 0], &filter, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "\
NIC     KIND      STATE   MTU        SPEED  CAPTURED
lo      loopback  up     1500            -  no: loopback; include it by name to capture it
eth0    physical  up     1500  10.0 Gbit/s  yes
eth0.7  vlan      up     1500            -  yes, stacked: not part of the host's total
eth1    physical  down   1500            -  no: down; captured as soon as it is up
";
        assert_eq!(text, expected);
    }
}
