//! What `agent doctor` says of owners where cgroups are not as on a host: in a container with cgroups of its
//! own, for a shell that came into one from outside, and without cgroup v2. All of it is real.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpListener;

use testbed::{Cgroups, Namespace, in_namespace};

/// What doctor says of owners after a script has run, as part of a container whose cgroups are those below
/// this process's. `$mount` is where cgroup v2 is mounted; what
/// goes to descriptor 3 moves out of the container.
fn doctor(cgroups: &Cgroups, script: &str) -> String {
    let mount = cgroups.root.parent().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "mount=$0; exec 3>\"$1\"/cgroup.procs; {script}\nexec \"$2\" --data-dir \"$3\" doctor"
    );
    let mut command = Namespace::own().command("unshare");
    command.args(["--mount", "--cgroup", "sh", "-euc", &script]);
    command.args([mount, &cgroups.root.join("outside")]);
    command.arg(env!("CARGO_BIN_EXE_agent")).arg(dir.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains(" owners "));
    line.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

#[test]
fn doctor_tells_why_owners_are_not_known() {
    const OWN: &str = "umount -l \"$mount\"; mount -t cgroup2 none \"$mount\"";
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    cgroups.enter("outside");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    cgroups.enter("container/service");
    cgroups.enter("container");
    let said = doctor(&cgroups, OWN);
    assert!(said.starts_with("warn"), "{said}");
    assert!(said.contains("this container's, which has no name in it"), "{said}");
    assert!(said.contains("1 of 1 sockets that listen here"), "{said}");
    let said = doctor(&cgroups, &format!("{OWN}; echo $$ >\"$mount\"/service/cgroup.procs"));
    assert!(said.contains("here cgroup /service; only of what runs in this container"), "{said}");
    drop(listener);
    // With a socket of its own only, it lacks nothing.
    let said = doctor(&cgroups, OWN);
    assert!(said.starts_with("ok"), "{said}");
    // A shell that was started elsewhere and entered.
    let said = doctor(&cgroups, &format!("{OWN}; echo $$ >&3"));
    assert!(said.starts_with("ok") && said.contains("started outside of this container"), "{said}");
    let said = doctor(&cgroups, "umount -l \"$mount\"");
    assert!(said.starts_with("warn") && said.contains("there is no cgroup v2 here"), "{said}");
    // All of the host's, however this program came here.
    let said = doctor(&cgroups, "echo $$ >&3");
    let name = cgroups.root.file_name().unwrap().to_string_lossy();
    assert!(said.contains(&format!("here cgroup /{name}/outside")), "{said}");
}
