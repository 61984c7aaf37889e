//! Whose traffic can be told here, and what more rights would give.

use settings::{Finding, Foreign, InFull};
use wire::talkers::{OwnerKind, ROOT_CGROUP};

use crate::owner::NoCgroup;
use crate::owner::trial::{self, OwnerTrial, SocketTrial};

const SUBJECT: &str = "owners";

pub(super) fn examine(is_on: bool) -> Vec<Finding> {
    if is_on { findings(&trial::examine()) } else { Vec::new() }
}

fn findings(tried: &OwnerTrial) -> Vec<Finding> {
    vec![cgroups(tried), processes(tried)].into_iter().flatten().collect()
}

fn cgroups(tried: &OwnerTrial) -> Option<Finding> {
    let sockets = match &tried.sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            let why = error.in_full();
            let text = format!(
                "talkers have none: sockets can't be asked for: {why}; allow AF_NETLINK, and load \
                 inet_diag, tcp_diag and udp_diag"
            );
            return Some(Finding::warn(SUBJECT, text));
        }
    };
    let warn = |text: &str| Some(Finding::warn(SUBJECT, text));
    let own = match &sockets.own {
        Ok((_, name)) if !sockets.sees_whole_host && name == ROOT_CGROUP => {
            "here this container's, which has no name in it".to_owned()
        }
        Ok((kind, name)) => own(*kind, name),
        Err(NoCgroup::Untold) => {
            return warn(
                "only of processes whose files can be read: the kernel doesn't tell the cgroups of \
                 sockets; that takes Linux 5.8 or later",
            );
        }
        Err(NoCgroup::NotMounted) => {
            return warn(
                "only of processes whose files can be read: there is no cgroup v2 here; mount the \
                 host's /sys/fs/cgroup in a container, else boot with systemd.unified_cgroup_hierarchy=1",
            );
        }
        Err(NoCgroup::NotHere) if sockets.is_from_outside => {
            "here none: this shell was started outside of this container's cgroups (nsenter)".into()
        }
        Err(NoCgroup::NotHere) => {
            return warn(
                "talkers have none: this program's cgroup isn't below the one that is mounted here; \
                 mount the host's /sys/fs/cgroup",
            );
        }
    };
    let took = sockets.took;
    let text = format!("unit, container, pod or cgroup of talkers, asked in {took:.0?}: {own}");
    let only = if sockets.sees_whole_host { "" } else { "; only of what runs in this container" };
    let text = text + only;
    let SocketTrial { listening, elsewhere, .. } = *sockets;
    if elsewhere > 0 {
        let text = format!(
            "{text}; not of all: {elsewhere} of {listening} sockets that listen here are of cgroups that \
             aren't mounted here; mount the host's /sys/fs/cgroup"
        );
        return warn(&text);
    }
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

fn own(kind: OwnerKind, name: &str) -> String {
    let name = Foreign(name);
    match kind {
        OwnerKind::Unit => format!("here unit {name}"),
        OwnerKind::Container => format!("here container {name}"),
        OwnerKind::Pod => format!("here pod {name}"),
        _ if name.0 == ROOT_CGROUP => "here the root cgroup, which only says which host".to_owned(),
        _ => format!("here cgroup {name}"),
    }
}

/// Names of processes are an extra: a service without them is as intended.
fn processes(tried: &OwnerTrial) -> Option<Finding> {
    const SUBJECT: &str = "processes";
    const RIGHTS: &str = "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH";
    tried.sockets.as_ref().ok()?;
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

    use super::*;

    fn sockets(own: Result<&str, NoCgroup>) -> SocketTrial {
        SocketTrial {
            own: own.map(|name| (OwnerKind::Unit, name.to_owned())),
            took: Duration::from_micros(12),
            is_from_outside: false,
            sees_whole_host: true,
            listening: 5,
            elsewhere: 0,
        }
    }

    fn tried(sockets: io::Result<SocketTrial>, readable: usize, unreadable: usize) -> OwnerTrial {
        OwnerTrial { sockets, closures: Ok(()), readable, unreadable }
    }

    fn of(sockets: SocketTrial) -> Finding {
        findings(&tried(Ok(sockets), 3, 0)).remove(0)
    }

    #[test]
    fn what_more_rights_would_give_is_said_and_is_no_fault() {
        let with = |name, readable, unreadable| {
            findings(&tried(Ok(sockets(Ok(name))), readable, unreadable))
        };
        let found = with("netmon\x1b[2J.service", 0, 0);
        assert!(found.iter().all(|it| it.level == Level::Ok), "{found:?}");
        assert!(found[0].text.contains("unit netmon") && !found[0].text.contains('\x1b'));
        assert!(found[1].text.contains("ProtectProc") && found[1].text.contains("CAP_SYS_PTRACE"));
        let some = with("a.service", 2, 40);
        assert!(some[1].text.contains("40 of 42 others"), "{some:?}");
        let all = with("a.service", 40, 0);
        assert!(all[1].text.starts_with("named"), "{all:?}");
    }

    #[test]
    fn each_reason_for_no_owners_is_told_with_its_way_out() {
        for (reason, says) in [
            (NoCgroup::Untold, "Linux 5.8"),
            (NoCgroup::NotMounted, "no cgroup v2 here"),
            (NoCgroup::NotHere, "mount the host's /sys/fs/cgroup"),
        ] {
            let found = of(sockets(Err(reason)));
            assert!(found.level == Level::Warn && found.text.contains(says), "{found:?}");
        }
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let found = findings(&tried(Err(denied), 3, 0));
        assert_eq!((found.len(), found[0].level), (1, Level::Warn), "{found:?}");
        let denied = Err(io::Error::from(io::ErrorKind::PermissionDenied));
        let deaf = OwnerTrial { closures: denied, ..tried(Ok(sockets(Ok("a.service"))), 1, 0) };
        assert_eq!(findings(&deaf)[0].level, Level::Warn);
    }

    #[test]
    fn a_shell_from_outside_is_no_fault_and_sockets_from_outside_are() {
        let shell = SocketTrial { is_from_outside: true, ..sockets(Err(NoCgroup::NotHere)) };
        let found = of(shell);
        assert!(found.level == Level::Ok && found.text.contains("nsenter"), "{found:?}");
        let found = of(SocketTrial { elsewhere: 2, ..sockets(Ok("a.service")) });
        assert!(found.level == Level::Warn && found.text.contains("2 of 5 sockets"), "{found:?}");
    }

    #[test]
    fn the_root_cgroup_is_told_in_words() {
        let root = sockets(Ok("/")).own.map(|(_, name)| (OwnerKind::Cgroup, name));
        let found = of(SocketTrial { own: root, ..sockets(Ok("")) });
        assert!(found.text.contains("the root cgroup"), "{found:?}");
        let root = Ok((OwnerKind::Cgroup, "/".to_owned()));
        let found = of(SocketTrial { own: root, sees_whole_host: false, ..sockets(Ok("")) });
        assert!(found.text.contains("this container's"), "{found:?}");
        assert!(found.text.ends_with("only of what runs in this container"), "{found:?}");
    }
}
