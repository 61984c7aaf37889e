//! Whose traffic can be told here, and what more rights would give.

use settings::{Finding, Foreign, InFull};
use wire::talkers::OwnerKind;

use crate::owner::trial::{self, OwnerTrial};

const SUBJECT: &str = "owners";

pub(super) fn examine(is_on: bool) -> Vec<Finding> {
    if is_on { findings(&trial::examine()) } else { Vec::new() }
}

fn findings(tried: &OwnerTrial) -> Vec<Finding> {
    vec![cgroups(tried), processes(tried)].into_iter().flatten().collect()
}

fn cgroups(tried: &OwnerTrial) -> Option<Finding> {
    let (owner, took) = match &tried.own {
        Ok((Some(owner), took)) => (owner, took),
        Ok((None, _)) => {
            let text = "talkers have none: this program's own cgroup can't be found; mount the \
                        host's /sys/fs/cgroup (cgroup v2, Linux 5.8 or later)";
            return Some(Finding::warn(SUBJECT, text));
        }
        Err(error) => {
            let why = error.in_full();
            let text = format!(
                "talkers have none: sockets can't be asked for: {why}; allow AF_NETLINK, and load \
                 inet_diag, tcp_diag and udp_diag"
            );
            return Some(Finding::warn(SUBJECT, text));
        }
    };
    let name = Foreign(&owner.name);
    let own = match OwnerKind::of(owner.kind) {
        Some(OwnerKind::Unit) => format!("unit {name}"),
        Some(OwnerKind::Container) => format!("container {name}"),
        Some(OwnerKind::Pod) => format!("pod {name}"),
        _ => format!("cgroup {name}"),
    };
    let text =
        format!("unit, container, pod or cgroup of talkers, asked in {took:.0?}: here {own}");
    Some(match &tried.closures {
        Ok(()) => Finding::ok(SUBJECT, text),
        Err(error) => {
            let why = error.in_full();
            let text = format!(
                "{text}; only of sockets that were open before: closed ones can't be heard of: {why}"
            );
            Finding::warn(SUBJECT, text)
        }
    })
}

/// Names of processes are an extra: a service without them is as intended.
fn processes(tried: &OwnerTrial) -> Option<Finding> {
    const SUBJECT: &str = "processes";
    const RIGHTS: &str = "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH";
    tried.own.as_ref().ok()?.0.as_ref()?;
    let text = match (tried.readable, tried.unreadable) {
        (0, 0) => format!(
            "not named: /proc shows no others (ProtectProc=invisible); to name them takes \
             ProtectProc=default, {RIGHTS}"
        ),
        (readable, 0) => format!("named: the files of {readable} others can be read"),
        (readable, unreadable) => format!(
            "not all named: the files of {unreadable} of {} others can't be read; that takes {RIGHTS}",
            readable + unreadable
        ),
    };
    Some(Finding::ok(SUBJECT, text))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use settings::Level;
    use wire::talkers::TalkerOwner;

    use super::*;

    fn tried(own: io::Result<Option<&str>>, readable: usize, unreadable: usize) -> OwnerTrial {
        let owner = |name: &str| TalkerOwner {
            kind: OwnerKind::Unit as u8,
            name: name.to_owned(),
            process: String::new(),
        };
        let own = own.map(|name| (name.map(owner), Duration::from_micros(12)));
        OwnerTrial { own, closures: Ok(()), readable, unreadable }
    }

    #[test]
    fn what_more_rights_would_give_is_said_and_is_no_fault() {
        let found = findings(&tried(Ok(Some("netmon\x1b[2J.service")), 0, 0));
        assert!(found.iter().all(|it| it.level == Level::Ok), "{found:?}");
        assert!(found[0].text.contains("unit netmon") && !found[0].text.contains('\x1b'));
        assert!(found[1].text.contains("ProtectProc") && found[1].text.contains("CAP_SYS_PTRACE"));
        let some = findings(&tried(Ok(Some("a.service")), 2, 40));
        assert!(some[1].text.contains("40 of 42 others"), "{some:?}");
        let all = findings(&tried(Ok(Some("a.service")), 40, 0));
        assert!(all[1].text.starts_with("named"), "{all:?}");
    }

    #[test]
    fn what_stands_in_the_way_is_a_warning() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        for tried in [tried(Err(denied()), 3, 0), tried(Ok(None), 3, 0)] {
            let found = findings(&tried);
            assert_eq!((found.len(), found[0].level), (1, Level::Warn), "{found:?}");
        }
        let deaf = OwnerTrial { closures: Err(denied()), ..tried(Ok(Some("a.service")), 1, 0) };
        assert_eq!(findings(&deaf)[0].level, Level::Warn);
    }
}
