//! Attacks by anybody who reaches the HTTP port, and by foreign pages.

use testbed::{Site, in_namespace};

use crate::besieged;

#[test]
fn connections_that_dawdle_and_queries_that_nobody_waits_for_keep_nobody_out() {
    if !in_namespace() {
        return;
    }
    let (said, _) = besieged(
        Site::new(),
        &[
            ("slow_bodies", 4.0, 1.0),
            ("slow_headers", 4.0, 1.0),
            ("idle_connections", 4.0, 1.0),
            ("aborted_queries", 6.0, 0.2),
        ],
    );
    for held in &said[..3] {
        // A busy machine may answer late now and then: one in ten, and one of the few that a slow one asks.
        let [answered, not] = ["answered", "unanswered"].map(|it| held[it].as_u64().unwrap());
        assert!(answered > not && not <= (answered / 10).max(1), "{held}");
    }
    let next = said[3]["next_answer_ms"].as_f64().unwrap();
    let alone = said[3]["alone_ms"].as_f64().unwrap();
    assert!(next < 2000.0 + 4.0 * alone, "queries continued without a client: {}", said[3]);
}

#[test]
fn tokens_are_not_guessed_and_pages_of_other_names_learn_nothing() {
    if !in_namespace() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "atokenthatnobodyguesses0\n").unwrap();
    let site = Site::new()
        .with_setting("HTTP__TOKEN_FILE", &file.path().display().to_string())
        .with_setting("HTTP__PROXY_HEADER", "Remote-User")
        .with_setting("HTTP__PROXIES", "192.0.2.7");
    let (said, cost) = besieged(site, &[("wrong_tokens", 3.0, 0.2), ("other_names", 3.0, 1.0)]);
    let statuses = said[0]["statuses"].as_object().unwrap();
    assert!(!statuses.contains_key("204") && statuses.contains_key("429"), "{statuses:?}");
    assert!(cost.log.contains("sign_in_failed"), "{}", cost.log);
    let statuses = said[1]["statuses"].as_object().unwrap();
    assert!(statuses.values().all(|status| status != 200), "{statuses:?}");
}
