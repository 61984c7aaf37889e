//! A full disk.

use testbed::siege::Siege;
use testbed::{Site, http, in_namespace, sh, wait_until};

/// Size of the disk. The least configurable reserve must be free on it for rows to be accepted.
const DISK: &str = "150m";
const LEFT: &str = "128MiB";

#[test]
fn a_disk_that_an_agent_and_others_fill_holds_rows_back_and_loses_none() {
    if !in_namespace() {
        return;
    }
    let site = Site::new().with_setting("LIMITS__DISK_FREE_MIN", LEFT);
    let data = site.collector_data().display().to_string();
    sh(&format!("mkdir {data} && mount -t tmpfs -o size={DISK},mode=700 tmpfs {data}"));
    let mut siege = Siege::begin(site);
    // Until the reserve is reached.
    let said = siege.attack("rows_as_fast_as_they_go", 20.0, 1.0);
    let answer = || http::get(http::HTTP, "/readyz").unwrap_or_default();
    wait_until("the mark", || {
        answer().contains(" 503 ") && answer().contains("limits.disk_free_min")
    });
    // Others use up the rest, to the last byte.
    sh(&format!("! dd if=/dev/zero of={data}/others bs=64k status=none 2>/dev/null"));
    let token = siege.site.collector(&["token"]).output().unwrap();
    let why = String::from_utf8(token.stderr).unwrap();
    assert!(!token.status.success() && why.contains("No space left"), "{why}");
    assert!(answer().contains(" 503 "), "{said}: {}", answer());
    sh(&format!("rm {data}/others && mount -o remount,size=1g {data}"));
    wait_until("room", || http::is_ready(http::HTTP));
    let cost = siege.end();
    assert!(
        cost.all_kept(),
        "{:?}, stopped {}\n{}\n{}",
        cost.kept,
        cost.stopped,
        cost.fsck,
        cost.log
    );
    assert!(!cost.log.contains("panicked"), "{}", cost.log);
}
