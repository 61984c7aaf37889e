//! Tests a service as systemd sees it: by sd_notify(3), with the test's own socket.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use settings::{Pulse, Reloaded, Service};

/// Set in the copy of this program that acts as the service.
const SERVICE: &str = "NETMON_TEST_SERVICE";

/// Makes progress three times, then stalls.
fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut asked = 0;
        let pulse = || {
            asked += 1;
            println!("asked {asked}");
            if asked <= 3 { Pulse::Beats } else { Pulse::Still }
        };
        let mut reloads = 0;
        let reload = || {
            reloads += 1;
            println!("reloaded {reloads}");
            if reloads == 1 { Ok(Reloaded::default()) } else { Err("no host".to_owned()) }
        };
        Service::new().unwrap().run(pulse, reload).await;
        println!("stopped");
    });
}

#[test]
fn a_service_that_is_stuck_ends_within_10_s_when_told_to() {
    if std::env::var_os(SERVICE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async {
            let _service = Service::new().unwrap();
            println!("stuck");
            std::thread::sleep(Duration::from_secs(60));
        });
    }
    let mut service = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", "a_service_that_is_stuck_ends_within_10_s_when_told_to"])
        .env(SERVICE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "stuck"));
    let told = Instant::now();
    let id = service.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(service.wait().unwrap().code(), Some(1));
    // With slack for a busy machine.
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
}

#[test]
fn the_watchdog_is_fed_while_the_service_moves_and_signals_are_obeyed() {
    if std::env::var_os(SERVICE).is_some() {
        return serve();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut service = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact"])
        .arg("the_watchdog_is_fed_while_the_service_moves_and_signals_are_obeyed")
        .env(SERVICE, "1")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said = || {
        let mut message = [0; 256];
        let len = systemd.recv(&mut message).unwrap();
        String::from_utf8(message[..len].to_vec()).unwrap().trim().to_owned()
    };
    assert_eq!(said(), "READY=1");
    assert!(lines.any(|line| line == "asked 6"), "it is asked all the time");
    let signal = |name: &str| {
        let id = service.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-HUP");
    assert!(lines.any(|line| line == "reloaded 1"));
    signal("-HUP");
    assert!(lines.any(|line| line == "reloaded 2"));
    signal("-TERM");
    assert!(lines.any(|line| line == "stopped"));
    let told: Vec<String> = (0..8).map(|_| said()).collect();
    assert_eq!(told[..3], ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    for (reloading, ready, status) in [
        (&told[3], &told[4], "config read again, nothing to apply while running"),
        (&told[5], &told[6], "the present config stays in use: no host"),
    ] {
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(*ready, format!("READY=1\nSTATUS={status}"));
    }
    assert_eq!(told[7], "STOPPING=1");
    assert!(service.wait().unwrap().success());
}
