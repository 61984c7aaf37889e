//! `agent top` on a terminal of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use testbed::{Namespace, in_namespace, sh, wait_until};

#[test]
fn top_shows_a_nic_and_q_gives_the_terminal_back() {
    if !in_namespace("top_shows_a_nic_and_q_gives_the_terminal_back") {
        return;
    }
    sh("ip link set lo up");
    // script(1) makes the terminal.
    let top = format!("stty rows 30 cols 100; {} top --nic lo", env!("CARGO_BIN_EXE_agent"));
    let mut script = Namespace::own()
        .command("script")
        .args(["-qfec", &top, "/dev/null"])
        .env("TERM", "xterm-256color")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut keys, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let screen = Arc::new(Mutex::new(Vec::new()));
    let seen = screen.clone();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut bytes) {
            seen.lock().unwrap().extend_from_slice(&bytes[..read]);
        }
    });
    let shown = |text: &str| String::from_utf8_lossy(&screen.lock().unwrap()).contains(text);
    // Blanks are not drawn where there is nothing to be blanked.
    wait_until("the NIC", || shown("loopback,"));
    keys.write_all(b"q").unwrap();
    assert!(script.wait().unwrap().success());
    reader.join().unwrap();
    // The alternate screen is left (xterm's control sequences, DECRST 1049).
    assert!(shown("\x1b[?1049h") && shown("\x1b[?1049l"));
}

#[test]
fn top_without_a_terminal_says_what_to_use_instead() {
    let output = Command::new(env!("CARGO_BIN_EXE_agent"))
        .args(["top", "--nic", "lo"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("agent watch"), "{error}");
}
