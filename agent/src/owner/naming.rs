//! What a cgroup's path says of its owner, by the conventions of systemd, container runtimes and
//! Kubernetes. Whoever may make cgroups may name them as they like: a name is no proof of identity.

use std::net::IpAddr;

use wire::talkers::{OWNER_NAME_MAX, OwnerKind, PROCESS_NAME_MAX, ROOT_CGROUP, TalkerOwner};

/// Hexadecimal digits of a container's id.
const CONTAINER_ID: usize = 64;

/// Types of units that have cgroups and are no slices (systemd.unit(5)).
const UNITS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// What owns a cgroup: the pod if it is one's, else the innermost container, else the outermost unit of
/// the system's or a user's manager, else the path itself.
#[must_use]
pub fn name(path: &str) -> (OwnerKind, String) {
    // The way out of a cgroup namespace (cgroup_namespaces(7)) is no name.
    let is_name = |part: &&str| !matches!(*part, "" | "..");
    let parts: Vec<&str> = path.split('/').filter(is_name).collect();
    let pairs = || {
        let before = [""].into_iter().chain(parts.iter().copied());
        before.zip(parts.iter().copied())
    };
    if let Some(uid) = parts.iter().rev().find_map(|part| pod(part)) {
        return (OwnerKind::Pod, uid);
    }
    let containers = pairs().filter_map(|(before, part)| container(before, part));
    if let Some(id) = containers.last() {
        return (OwnerKind::Container, shortened(&id, OWNER_NAME_MAX));
    }
    match unit(&parts) {
        Some(unit) => (OwnerKind::Unit, shortened(&unit, OWNER_NAME_MAX)),
        None => (OwnerKind::Cgroup, shortened(&format!("/{}", parts.join("/")), OWNER_NAME_MAX)),
    }
}

/// An owner of which only the process is known.
#[must_use]
pub fn only(process: String) -> TalkerOwner {
    TalkerOwner { kind: OwnerKind::Process as u8, name: String::new(), process }
}

/// An owner as others are told of it: the root says nothing if the process is known.
#[must_use]
pub fn told(owner: TalkerOwner) -> TalkerOwner {
    let is_root = owner.kind == OwnerKind::Cgroup as u8 && owner.name == ROOT_CGROUP;
    if is_root && !owner.process.is_empty() { only(owner.process) } else { owner }
}

/// A process's name as it can be shown and stored.
#[must_use]
pub fn process(comm: &[u8]) -> String {
    let text = String::from_utf8_lossy(comm).replace('\0', "");
    shortened(text.trim_end_matches('\n'), PROCESS_NAME_MAX)
}

/// The end of a text, which tells more than its beginning, in at most this many bytes.
fn shortened(text: &str, most: usize) -> String {
    const CUT: char = '…';
    if text.len() <= most {
        return text.to_owned();
    }
    let from = (text.len() + CUT.len_utf8() - most..).find(|at| text.is_char_boundary(*at));
    format!("{CUT}{}", &text[from.unwrap_or(text.len())..])
}

/// The uid of a pod: `pod` and the uid (cgroupfs), or a slice in whose name `_` stands for `-`
/// (systemd), which may be followed by more (`...slice:cri-containerd:ID`).
fn pod(part: &str) -> Option<String> {
    let rest = match part.strip_prefix("pod") {
        Some(rest) => rest,
        None => part.find("kubepods").and_then(|at| part[at..].split_once("-pod"))?.1,
    };
    let uid = rest.split('.').next().unwrap_or_default().replace('_', "-");
    let groups: Vec<usize> = uid.split('-').map(str::len).collect();
    // A static pod has a hash without dashes.
    let known = groups == [8, 4, 4, 4, 12] || groups == [32];
    (known && uid.chars().all(|c| c == '-' || c.is_ascii_hexdigit())).then_some(uid)
}

/// The id or name of a container, if the directory `part` in `before` is one's.
fn container(before: &str, part: &str) -> Option<String> {
    let named = |name: &str| (!name.is_empty()).then(|| unescaped(name));
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return named(name);
    }
    if matches!(before, "lxc" | "lxc.payload") {
        return named(part);
    }
    if let Some(name) = part.strip_prefix("machine-").and_then(|it| it.strip_suffix(".scope")) {
        // libvirt registers its virtual machines in the same way.
        return named(name).filter(|name| !name.starts_with("qemu-"));
    }
    if let Some(name) =
        part.strip_prefix("systemd-nspawn@").and_then(|it| it.strip_suffix(".service"))
    {
        return named(name);
    }
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let at = part.len().checked_sub(CONTAINER_ID).filter(|at| part.is_char_boundary(*at))?;
    let (runtime, id) = part.split_at(at);
    // A container's monitor isn't in the container.
    let is_container =
        (runtime.is_empty() || runtime.ends_with(['-', ':'])) && !runtime.contains("conmon");
    let is_id = id.chars().all(|c| c.is_ascii_hexdigit());
    (is_container && is_id).then(|| id.to_owned())
}

/// The outermost unit; of a user's manager, also the unit that it runs.
fn unit(parts: &[&str]) -> Option<String> {
    // An underscore goes before names that the kernel or systemd would read otherwise.
    let plain = |part: &&str| without_connection(part.strip_prefix('_').unwrap_or(part));
    let is_unit =
        |part: &&&str| UNITS.iter().any(|kind| part.len() > kind.len() && part.ends_with(kind));
    let mut units = parts.iter().filter(is_unit);
    let first = units.next().map(plain)?;
    match units.next() {
        Some(inner) if first.starts_with("user@") => Some(format!("{first}/{}", plain(inner))),
        _ => Some(first),
    }
}

/// A unit's name; of an instance for one connection (`Accept=yes` in systemd.socket(5)), which is named
/// `NAME@NUMBER-LOCAL:PORT-REMOTE:PORT.service`, that of its template.
fn without_connection(unit: &str) -> String {
    let is_end = |end: Option<&str>| {
        let end = end.and_then(|it| it.rsplit_once(':'));
        end.is_some_and(|(ip, port)| ip.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_ok())
    };
    let name = unit.strip_suffix(".service").and_then(|it| it.split_once('@'));
    name.and_then(|(name, instance)| {
        let mut parts = instance.rsplit('-');
        let has_ends = is_end(parts.next()) && is_end(parts.next());
        // Newer versions of systemd put a second number there.
        let numbers = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
        (has_ends && parts.all(numbers)).then(|| format!("{name}@.service"))
    })
    .unwrap_or_else(|| unit.to_owned())
}

/// A name without systemd's escapes (`\x2d`).
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.strip_prefix(b"x").and_then(|it| it.get(..2));
        let escaped = escape
            .filter(|_| *first == b'\\')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::OwnerKind::{Cgroup, Container, Pod, Unit};
    use super::*;

    const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
    const UID: &str = "2ca4a155-3599-498d-bb9d-4446693fa3ea";

    /// Paths with `ID` and `UID` in them, as systemd, runtimes and kubelets make them.
    #[test]
    fn cgroups_are_named_by_the_conventions_in_use() {
        let cases = [
            // systemd
            ("/system.slice/nginx.service", Unit, "nginx.service"),
            ("/system.slice/postgresql@15-main.service", Unit, "postgresql@15-main.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", Unit, "getty@tty1.service"),
            (
                "/system.slice/system-sshd.slice/sshd@3-192.0.2.1:22-198.51.100.7:50412.service",
                Unit,
                "sshd@.service",
            ),
            (
                "/system.slice/sshd@12-4711-2001:db8::1:22-2001:db8:7::9:50412.service",
                Unit,
                "sshd@.service",
            ),
            (
                "/user.slice/user-7.slice/user@7.service/app.slice/a@0-::1:9-::1:40000.service",
                Unit,
                "user@7.service/a@.service",
            ),
            ("/system.slice/vpn@192.0.2.1:22.service", Unit, "vpn@192.0.2.1:22.service"),
            ("/system.slice/dump@2024-01-02.service", Unit, "dump@2024-01-02.service"),
            ("/system.slice/docker.service", Unit, "docker.service"),
            ("/system.slice/sshd.socket", Unit, "sshd.socket"),
            ("/system.slice/delegated.service/workers/7", Unit, "delegated.service"),
            ("/system.slice/run-r7e3.scope", Unit, "run-r7e3.scope"),
            ("/system.slice/_cgroup.service", Unit, "cgroup.service"),
            ("/system.slice/snap.lxd.daemon.service", Unit, "snap.lxd.daemon.service"),
            ("/init.scope", Unit, "init.scope"),
            ("/user.slice/user-1000.slice/session-4.scope", Unit, "session-4.scope"),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/pulseaudio.service",
                Unit,
                "user@1000.service/pulseaudio.service",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-2317.scope",
                Unit,
                "user@1000.service/app-gnome-firefox-2317.scope",
            ),
            ("/user.slice/user-1000.slice/user@1000.service", Unit, "user@1000.service"),
            // Docker, containerd, nerdctl, CRI-O and others without Kubernetes
            ("/system.slice/docker-ID.scope", Container, ID),
            ("/system.slice/docker-ID.scope/system.slice/cron.service", Container, ID),
            ("/docker/ID", Container, ID),
            ("/docker/ID/init", Container, ID),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
                Container,
                ID,
            ),
            ("/default/ID", Container, ID),
            ("/system.slice/nerdctl-ID.scope", Container, ID),
            ("/system.slice/crio-ID.scope", Container, ID),
            ("/system.slice:docker:ID", Container, ID),
            ("/ecs/0f6d5e7c8b9a4d3e/ID", Container, ID),
            ("/ID", Container, ID),
            // Podman: rootful, rootless, by a unit (split), and its monitor
            ("/machine.slice/libpod-ID.scope", Container, ID),
            ("/machine.slice/libpod-ID.scope/container", Container, ID),
            ("/libpod_parent/libpod-ID", Container, ID),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                Container,
                ID,
            ),
            ("/system.slice/web.service/libpod-payload-ID", Container, ID),
            ("/machine.slice/libpod-conmon-ID.scope", Unit, "libpod-conmon-ID.scope"),
            ("/system.slice/crio-conmon-ID.scope", Unit, "crio-conmon-ID.scope"),
            // LXC and LXD, systemd-nspawn, libvirt
            ("/lxc.payload.web-1", Container, "web-1"),
            ("/lxc.payload.web-1/system.slice/nginx.service", Container, "web-1"),
            ("/lxc/web-1", Container, "web-1"),
            ("/lxc.payload/web-1/init.scope", Container, "web-1"),
            ("/lxc.monitor.web-1", Cgroup, "/lxc.monitor.web-1"),
            (r"/machine.slice/machine-web\x2d1.scope/payload", Container, "web-1"),
            (
                r"/machine.slice/machine-web\x2d1.scope/payload/system.slice/nginx.service",
                Container,
                "web-1",
            ),
            (r"/machine.slice/systemd-nspawn@web.service/payload", Container, "web"),
            (
                r"/machine.slice/machine-qemu\x2d1\x2dvm.scope",
                Unit,
                r"machine-qemu\x2d1\x2dvm.scope",
            ),
            // Kubernetes: cgroupfs and systemd drivers, all classes of service
            ("/kubepods/podUID/ID", Pod, UID),
            ("/kubepods/besteffort/podUID/ID", Pod, UID),
            ("/kubepods/burstable/podUID", Pod, UID),
            ("/kubepods.slice/kubepods-podU_I_D.slice/docker-ID.scope", Pod, UID),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice/\
                 cri-containerd-ID.scope",
                Pod,
                UID,
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_I_D.slice/\
                 crio-ID.scope",
                Pod,
                UID,
            ),
            // A static pod has a hash for a uid.
            (
                "/kubepods/burstable/pod3e9a1f0d5b7c4e2f8a6d9b0c1e2f3a4b/ID",
                Pod,
                "3e9a1f0d5b7c4e2f8a6d9b0c1e2f3a4b",
            ),
            // containerd and the kubelet disagree about the driver
            (
                "/system.slice/containerd.service/kubepods-burstable-podU_I_D.slice:cri-containerd:ID",
                Pod,
                UID,
            ),
            // A node in a container (kind, minikube)
            ("/docker/ID/kubelet/kubepods/besteffort/podUID/ID", Pod, UID),
            (
                "/docker/ID/kubepods.slice/kubepods-besteffort.slice/\
                 kubepods-besteffort-podU_I_D.slice/crio-ID.scope",
                Pod,
                UID,
            ),
            // Nothing known
            ("/", Cgroup, "/"),
            // As seen from the cgroup namespace of another container
            ("/..", Cgroup, "/"),
            ("/../../system.slice/cron.service", Unit, "cron.service"),
            ("/../batch/job-17", Cgroup, "/batch/job-17"),
            ("/system.slice", Cgroup, "/system.slice"),
            ("/podcasts/downloads", Cgroup, "/podcasts/downloads"),
            ("/batch/job-17", Cgroup, "/batch/job-17"),
            ("/.service", Cgroup, "/.service"),
            ("/machine-.scope", Unit, "machine-.scope"),
            ("/job-ID0", Cgroup, "/job-ID0"),
        ];
        for (path, kind, expected) in cases {
            let given = |text: &str| {
                let text = text.replace("ID0", &format!("{ID}0")).replace("UID", UID);
                text.replace("ID", ID).replace("U_I_D", &UID.replace('-', "_"))
            };
            let path = path.replace("U_I_D", &UID.replace('-', "_"));
            assert_eq!(name(&given(&path)), (kind, given(expected)), "{path}");
        }
    }

    #[test]
    fn in_the_root_cgroup_an_owner_is_its_process_if_that_is_known() {
        let owner = |kind: OwnerKind, name: &str, process: &str| TalkerOwner {
            kind: kind as u8,
            name: name.into(),
            process: process.into(),
        };
        assert_eq!(told(owner(Cgroup, "/", "sshd")), owner(OwnerKind::Process, "", "sshd"));
        for same in
            [owner(Cgroup, "/", ""), owner(Cgroup, "/a", "b"), owner(Unit, "a.service", "b")]
        {
            assert_eq!(told(same.clone()), same);
        }
    }

    #[test]
    fn names_fit_what_can_be_stored() {
        let deep = format!("/{}", "é/".repeat(400));
        let (kind, name) = name(&deep);
        assert!(kind == Cgroup && name.len() <= OWNER_NAME_MAX && name.starts_with('…'), "{name}");
        assert!(deep.trim_end_matches('/').ends_with(name.trim_start_matches('…')));
        assert_eq!(process(b"nginx\n"), "nginx");
        assert_eq!(process(b"a\0b"), "ab");
        let strange = process(b"\xff\xfe\xfd\xfc\xfb\xfa\xf9");
        assert!(strange.len() <= PROCESS_NAME_MAX && !strange.is_empty(), "{strange}");
    }
}
