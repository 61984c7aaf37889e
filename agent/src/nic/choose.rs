//! Which NICs are captured, so that each byte of the wire is counted once.

use globset::GlobMatcher;

use super::link::{Class, Link};

/// Longest chain of NICs over NICs that is followed.
const DEPTH_MAX: usize = 8;

/// The operator's choice, as globs over names.
#[derive(Debug, Clone, Default)]
pub struct NicFilter {
    /// Capture these and no others; empty: what carries traffic that no other captured NIC
    /// carries.
    pub only: Vec<GlobMatcher>,
    /// Capture these as well, whatever they are.
    pub include: Vec<GlobMatcher>,
    /// Never capture these.
    pub exclude: Vec<GlobMatcher>,
}

/// The decision about a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is captured.
    Capture {
        /// Another captured NIC carries the same bytes: not part of a host's total.
        stacked: bool,
    },
    /// It is not captured.
    Skip(Reason),
}

/// Why a NIC is not captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A glob excludes it.
    Excluded,
    /// The operator asked for other NICs only.
    NotAskedFor,
    /// The loopback sees each packet twice, and none of them is on a wire.
    Loopback,
    /// It carries copies of what others carry, or nothing.
    Copy,
    /// A captured NIC carries the same traffic.
    Stacked,
    /// It is down, and captured once it is up.
    Down,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Excluded => "excluded by monitor.nics.exclude",
            Self::NotAskedFor => "not asked for",
            Self::Loopback => "loopback; capture it by monitor.nics.include",
            Self::Copy => "carries copies of packets, or none; capture it by monitor.nics.include",
            Self::Stacked => {
                "its bytes pass a captured NIC too; capture it by \
                              monitor.nics.include"
            }
            Self::Down => "down; captured as soon as it is up",
        })
    }
}

/// Decides about every NIC, in the order given.
#[must_use]
pub fn choose(links: &[Link], filter: &NicFilter) -> Vec<Choice> {
    let matches = |globs: &[GlobMatcher], link: &Link| {
        let name = link.name.as_str().unwrap_or_default();
        // A name may contain characters of globs; written literally, it matches itself.
        globs.iter().any(|glob| glob.glob().glob() == name || glob.is_match(name))
    };
    let counted = |link: &Link| !is_copy(link) && !matches(&filter.exclude, link);
    let by_default: Vec<bool> =
        links.iter().map(|link| !is_carried(link, links, &counted, DEPTH_MAX)).collect();
    let captured = |link: &Link, by_default: bool| {
        if matches(&filter.exclude, link) {
            return Err(Reason::Excluded);
        }
        if !filter.only.is_empty() {
            return if matches(&filter.only, link) { Ok(()) } else { Err(Reason::NotAskedFor) };
        }
        if matches(&filter.include, link) {
            return Ok(());
        }
        match link.class {
            Class::Loopback => Err(Reason::Loopback),
            Class::Copy => Err(Reason::Copy),
            _ if !by_default => Err(Reason::Stacked),
            _ if !link.up => Err(Reason::Down),
            _ => Ok(()),
        }
    };
    let captured: Vec<Result<(), Reason>> =
        links.iter().zip(by_default).map(|(link, by_default)| captured(link, by_default)).collect();
    let taken: Vec<Link> = links
        .iter()
        .zip(&captured)
        .filter(|(_, captured)| captured.is_ok())
        .map(|(link, _)| link.clone())
        .collect();
    let has_port = taken.iter().any(|link| link.class == Class::Physical);
    let choice = |(link, captured): (&Link, Result<(), Reason>)| match captured {
        Ok(()) => Choice::Capture { stacked: lies_over(link, links, &taken, has_port, DEPTH_MAX) },
        Err(reason) => Choice::Skip(reason),
    };
    links.iter().zip(captured).map(choice).collect()
}

/// True if everything a NIC carries passes another NIC that is captured by default; only those
/// that are `counted` can be.
fn is_carried(link: &Link, links: &[Link], counted: &impl Fn(&Link) -> bool, depth: usize) -> bool {
    let has = |class: Class| links.iter().any(|link| link.class == class && counted(link));
    match link.class {
        Class::Loopback | Class::Copy => false,
        // Without a physical port this is a container, whose veth carries everything.
        Class::Virtual => has(Class::Physical) || other_end(link, links).is_some_and(counted),
        Class::Tunnel => has(Class::Physical) || has(Class::Virtual),
        Class::Physical | Class::Upper | Class::Aggregate => {
            depth > 0
                && below(link, links)
                    .any(|other| counted(other) || is_carried(other, links, counted, depth - 1))
        }
    }
}

/// True if a captured NIC carries the same bytes as a captured one.
fn lies_over(link: &Link, links: &[Link], taken: &[Link], has_port: bool, depth: usize) -> bool {
    let outer = |class: Class| match class {
        Class::Tunnel => taken.iter().any(|other| other.class == Class::Virtual) || has_port,
        Class::Virtual => has_port || other_end(link, taken).is_some(),
        Class::Copy => taken.iter().any(|other| !is_copy(other)),
        _ => false,
    };
    outer(link.class)
        || (depth > 0
            && below(link, links).any(|other| {
                taken.iter().any(|taken| taken.index == other.index)
                    || lies_over(other, links, taken, has_port, depth - 1)
            }))
}

/// The end that is captured if both ends of a pair are here: what one sends, the other receives.
fn other_end<'a>(link: &Link, links: &'a [Link]) -> Option<&'a Link> {
    let peer = link.peer.filter(|peer| *peer < link.index)?;
    links.iter().find(|other| other.index == peer)
}

const fn is_copy(link: &Link) -> bool {
    matches!(link.class, Class::Copy | Class::Loopback)
}

/// The NICs below a NIC, and its ports.
fn below<'a>(link: &'a Link, links: &'a [Link]) -> impl Iterator<Item = &'a Link> {
    links.iter().filter(|other| {
        other.index != link.index
            && (link.lower == Some(other.index) || other.master == Some(link.index))
    })
}

#[cfg(test)]
mod tests {

    use super::*;

    const CAPTURED: Choice = Choice::Capture { stacked: false };
    const STACKED: Choice = Choice::Capture { stacked: true };

    fn over(lower: u32, link: Link) -> Link {
        Link { lower: Some(lower), ..link }
    }

    fn port_of(master: u32, link: Link) -> Link {
        Link { master: Some(master), ..link }
    }

    fn globs(globs: &[&str]) -> Vec<GlobMatcher> {
        let glob = |glob: &&str| globset::Glob::new(glob).unwrap().compile_matcher();
        globs.iter().map(glob).collect()
    }

    fn only(names: &[&str]) -> NicFilter {
        NicFilter { only: globs(names), ..NicFilter::default() }
    }

    fn filter(include: &[&str], exclude: &[&str]) -> NicFilter {
        NicFilter { only: Vec::new(), include: globs(include), exclude: globs(exclude) }
    }

    /// A host with a bond of two ports, a VLAN over it, a bridge of that with a container.
    fn host() -> Vec<Link> {
        vec![
            Link::up(1, "lo", Class::Loopback),
            port_of(4, Link::up(2, "eth0", Class::Physical)),
            port_of(4, Link::up(3, "eth1", Class::Physical)),
            Link::up(4, "bond0", Class::Aggregate),
            port_of(6, over(4, Link::up(5, "bond0.7", Class::Upper))),
            Link::up(6, "br0", Class::Aggregate),
            port_of(6, Link::up(7, "veth12", Class::Virtual)),
            Link::up(8, "wg0", Class::Tunnel),
            Link::up(9, "ifb0", Class::Copy),
        ]
    }

    #[test]
    fn by_default_only_the_ports_of_a_host_are_captured() {
        let choices = choose(&host(), &NicFilter::default());
        let stacked = Choice::Skip(Reason::Stacked);
        let expected = [
            Choice::Skip(Reason::Loopback),
            CAPTURED,
            CAPTURED,
            stacked,
            stacked,
            stacked,
            stacked,
            stacked,
            Choice::Skip(Reason::Copy),
        ];
        assert_eq!(choices, expected);
    }

    #[test]
    fn what_is_included_is_captured_and_marked_where_another_carries_the_same() {
        let choices = choose(&host(), &filter(&["b*", "wg0", "lo"], &["eth1"]));
        assert_eq!(choices[0], CAPTURED);
        assert_eq!(choices[1], CAPTURED);
        assert_eq!(choices[2], Choice::Skip(Reason::Excluded));
        for (name, choice) in ["bond0", "bond0.7", "br0"].iter().zip(&choices[3..6]) {
            assert_eq!(*choice, STACKED, "{name}");
        }
        assert_eq!(choices[6], Choice::Skip(Reason::Stacked));
        assert_eq!(choices[7], STACKED, "a tunnel over a captured port");
    }

    #[test]
    fn a_name_that_looks_like_a_glob_stands_for_itself() {
        for name in ["a\\b", "a[1]", "x{0}", "v?0"] {
            let links = [Link::up(2, name, Class::Physical), Link::up(3, "ab", Class::Physical)];
            let choices = choose(&links, &filter(&[], &[name]));
            assert_eq!(choices[0], Choice::Skip(Reason::Excluded), "{name}");
        }
    }

    #[test]
    fn what_is_asked_for_alone_is_not_stacked() {
        let choices = choose(&host(), &only(&["bond0"]));
        assert_eq!(choices[3], CAPTURED);
        assert_eq!(choices[2], Choice::Skip(Reason::NotAskedFor));
        let choices = choose(&host(), &only(&["br0", "bond0.7"]));
        assert_eq!((choices[4], choices[5]), (CAPTURED, STACKED));
    }

    #[test]
    fn what_lies_over_an_excluded_port_stands_for_itself() {
        let choices = choose(&host(), &filter(&[], &["eth*"]));
        assert_eq!(choices[3], CAPTURED, "the bond");
        assert_eq!(choices[4], Choice::Skip(Reason::Stacked), "the VLAN over it");
        let choices = choose(&host(), &filter(&[], &["bond0"]));
        assert_eq!(choices[4], Choice::Skip(Reason::Stacked), "the ports still carry the VLAN");
    }

    #[test]
    fn in_a_container_the_veth_is_the_port() {
        let links = [
            Link::up(1, "lo", Class::Loopback),
            Link::up(2, "eth0", Class::Virtual),
            Link::up(3, "wg0", Class::Tunnel),
        ];
        let choices = choose(&links, &NicFilter::default());
        assert_eq!(choices[1..], [CAPTURED, Choice::Skip(Reason::Stacked)]);
    }

    /// What networks of pods lay on a node: pairs, bridges, tunnels, and what carries nothing. One NIC
    /// of the node, if it is a port or a virtual machine's, has all that leaves it.
    #[test]
    fn of_a_node_with_pods_only_the_port_is_captured() {
        let lists: [&[(&str, Class)]; 4] = [
            &[
                ("cni0", Class::Aggregate),
                ("veth1a2b", Class::Virtual),
                ("flannel.1", Class::Tunnel),
            ],
            &[
                ("cali12", Class::Virtual),
                ("tunl0", Class::Tunnel),
                ("vxlan.calico", Class::Tunnel),
            ],
            &[
                ("cilium_net", Class::Virtual),
                ("cilium_host", Class::Virtual),
                ("lxc9", Class::Virtual),
            ],
            &[
                ("eni7f", Class::Virtual),
                ("kube-ipvs0", Class::Copy),
                ("nodelocaldns", Class::Copy),
            ],
        ];
        for list in lists {
            let mut links =
                vec![Link::up(1, "lo", Class::Loopback), Link::up(2, "ens5", Class::Physical)];
            links.extend((3..).zip(list).map(|(index, (name, class))| {
                let link = Link::up(index, name, *class);
                if *name == "veth1a2b" { port_of(3, link) } else { link }
            }));
            let choices = choose(&links, &NicFilter::default());
            let captured = links.iter().zip(&choices).filter(|(_, choice)| **choice == CAPTURED);
            let captured: Vec<_> = captured.map(|(link, _)| link.name.to_string()).collect();
            assert_eq!(captured, ["ens5"], "{list:?}: {choices:?}");
        }
    }

    #[test]
    fn of_a_pair_with_both_ends_here_one_stands_for_its_wire() {
        let end =
            |index, name, peer| Link { peer: Some(peer), ..Link::up(index, name, Class::Virtual) };
        let links = [end(2, "a", 3), end(3, "b", 2), end(4, "elsewhere", 9)];
        let choices = choose(&links, &NicFilter::default());
        assert_eq!(choices, [CAPTURED, Choice::Skip(Reason::Stacked), CAPTURED]);
        assert_eq!(choose(&links, &filter(&["b"], &[]))[..2], [CAPTURED, STACKED]);
        let choices = choose(&links, &filter(&[], &["a"]));
        assert_eq!(choices[1], CAPTURED, "the end that is left");
        assert_eq!(choose(&links, &only(&["b"]))[1], CAPTURED);
    }

    #[test]
    fn a_vlan_whose_port_is_in_another_namespace_and_an_empty_bridge_stand_for_themselves() {
        let links = [
            Link::up(1, "eth0", Class::Physical),
            Link::up(2, "vlan9", Class::Upper),
            Link::up(3, "br0", Class::Aggregate),
        ];
        assert_eq!(choose(&links, &NicFilter::default()), [CAPTURED; 3]);
    }

    #[test]
    fn a_nic_that_is_down_waits_unless_it_is_named() {
        let links = [Link { up: false, ..Link::up(1, "eth0", Class::Physical) }];
        assert_eq!(choose(&links, &NicFilter::default()), [Choice::Skip(Reason::Down)]);
        assert_eq!(choose(&links, &filter(&["eth0"], &[])), [CAPTURED]);
    }

    #[test]
    fn nics_that_name_each_other_end_the_search() {
        let links =
            [over(2, Link::up(1, "a", Class::Upper)), over(1, Link::up(2, "b", Class::Upper))];
        assert_eq!(choose(&links, &NicFilter::default()).len(), 2);
        assert_eq!(choose(&links, &only(&["a"])).len(), 2);
    }
}
