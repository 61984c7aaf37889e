//! No log contains a peer's text unescaped.

use testbed::{Running, Site, in_namespace, siege, wait_until};

/// Longest log line of a collector, bytes: texts of peers are cut at 4 KiB, and a line holds few.
const LINE_MAX: usize = 16 << 10;

#[test]
fn words_of_agents_steer_no_terminal_forge_no_line_and_fill_no_log() {
    if !in_namespace() {
        return;
    }
    for format in ["text", "json"] {
        let site =
            Site::new().with_setting("LOG__FORMAT", format).with_setting("LOG__LEVEL", "debug");
        let collector = site.start_collector();
        let said = siege::attack(&site, "words_that_steer_a_terminal", 10.0, 1.0);
        println!("{format}: {said}");
        let _said = siege::attack(&site, "a_secret_in_the_wrong_place", 10.0, 1.0);
        let log = ended(collector);
        let foreign = log.chars().find(|&c| c.is_control() && c != '\n');
        assert_eq!(foreign, None, "{format}:\n{log:.4000}");
        let forged = log.lines().find(|line| line.starts_with("<4>") || line.starts_with("forged"));
        assert_eq!(forged, None);
        let longest = log.lines().map(str::len).max().unwrap();
        assert!(longest < LINE_MAX, "{format}: a line of {longest} bytes");
        let bytes = "hunter2".bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        assert!(!log.contains("hunter2") && !log.contains(&bytes), "a secret in the log");
    }
}

/// The complete log of a collector.
fn ended(collector: Running) -> String {
    wait_until("its log", || collector.log().contains("misplaced"));
    let before = collector.log();
    collector.stop();
    before
}
