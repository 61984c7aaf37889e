//! A hostile enrolled agent harms only itself.

use testbed::{Site, in_namespace};

use crate::{always_ready, besieged};

#[test]
fn figures_that_no_sum_holds_delay_nobody_and_are_refused_or_kept_apart() {
    if !in_namespace() {
        return;
    }
    let (said, cost) = besieged(
        Site::new(),
        &[
            ("figures_beyond_any_link", 4.0, 0.2),
            ("figures_that_are_too_much_only_together", 4.0, 0.1),
            ("totals_that_no_sum_holds", 4.0, 1.0),
        ],
    );
    let quarantine = |line: &str| line.contains("quarantine") && line.contains("poisoner");
    assert!(cost.log.lines().any(quarantine), "{said:?}\n{}", cost.log);
    assert!(always_ready(&cost), "{:?}", cost.ready);
}

#[test]
fn floods_of_frames_sessions_and_nics_delay_nobody_and_fill_neither_memory_nor_disk() {
    if !in_namespace() {
        return;
    }
    let (_, cost) = besieged(
        Site::new(),
        &[
            ("frames_that_wait_for_a_missing_one", 2.0, 1.0),
            ("sessions_of_empty_frames", 2.0, 1.0),
            ("messages_that_never_end", 1.0, 0.5),
            ("nics_that_come_and_go", 2.0, 1.0),
            ("names_of_nics_without_end", 2.0, 1.0),
            ("rows_as_fast_as_they_go", 3.0, 1.0),
        ],
    );
    let disk = (cost.most.disk - cost.before.disk) >> 20;
    assert!(disk < 150, "{disk} MiB more on disk");
    assert!(always_ready(&cost), "{:?}", cost.ready);
}

#[test]
fn rows_of_other_centuries_are_told_of_and_kept_nowhere_that_never_ends() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let store = site.collector_data().join("netmon.sqlite");
    let mut siege = testbed::Siege::begin(site);
    let said = siege.attack("rows_of_other_centuries", 6.0, 1.0);
    let store = rusqlite::Connection::open(store).unwrap();
    collector::store::sqlite::add_functions(&store).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let (now, day) = (i64::try_from(now).unwrap(), 86_400_000_000_000);
    let far = "SELECT count(*) FROM bandwidth_stats WHERE time < ?1 OR time > ?2";
    let far: i64 =
        store.query_row(far, [now - 400 * day, now + 33 * day], |row| row.get(0)).unwrap();
    assert_eq!(far, 0, "rows with dates that retention never deletes: {said}");
    let cost = siege.end();
    assert!(cost.all_kept(), "{:?} {}", cost.kept, cost.fsck);
}
