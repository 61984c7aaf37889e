//! Packed samples of the embedded store: they read as they did before, whoever asks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use collector::store::sqlite::SqliteStore;
use collector::store::{
    Commit, Database, EventKind, ExportRange, ExportRow, NicRange, Point, Resolution, Retain,
    RetentionLimits, SeriesRange, Store,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::sync::mpsc;
use wire::WallNs;
use wire::frame::{Gap, Sample};

use crate::batches::{Agent, DAY, MINUTE, SECOND, START, all, batch, client, hello, point, sample};
use crate::sqlite::Sqlite;
use crate::suite::{Place, ReportRow, assert_sound, mix, opened, raw};

pub const HOUR: u64 = 3600 * SECOND;

/// The store of a place that packs all the time, whatever the age of samples.
struct Packing(Sqlite);

impl Place for Packing {
    async fn open(&self) -> Arc<dyn Database> {
        // The packing of the one before ends with its turn.
        let mut opened = None;
        testbed::wait_until("the file is free", || {
            opened = SqliteStore::open(&self.0.path()).ok();
            opened.is_some()
        });
        let store = Arc::new(opened.unwrap());
        let packed = Arc::downgrade(&store);
        tokio::spawn(async move {
            while let Some(store) = packed.upgrade() {
                store.pack(WallNs::MAX).await.unwrap();
                drop(store);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        store
    }

    async fn numbers(&self, sql: &str) -> Vec<i64> {
        self.0.numbers(sql).await
    }

    async fn execute(&self, sql: &str) {
        self.0.execute(sql).await;
    }

    async fn wait_until_nothing_is_read(&self) {
        self.0.wait_until_nothing_is_read().await;
    }

    async fn report(&self, client: &str) -> Vec<ReportRow> {
        self.0.report(client).await
    }
}

async fn packing() -> Packing {
    Packing(crate::sqlite::fresh().await)
}

crate::behaviours! { packing();
    what_is_committed_is_read_back_exactly,
    a_batch_is_never_counted_twice,
    of_two_commits_of_the_same_numbers_one_wins,
    all_is_there_after_opening_the_store_again,
    rollups_are_what_the_samples_add_up_to,
    samples_that_start_at_the_same_time_are_all_kept,
    a_series_stays_within_its_limit_and_conserves_sums_and_peaks,
    a_long_range_is_read_from_a_coarser_table,
    gaps_are_exact_and_apart,
    what_is_old_is_deleted_table_by_table,
    a_session_long_silent_is_forgotten_and_the_proof_still_holds,
    a_minute_of_a_very_fast_nic_is_kept_whole_in_several_rows,
    what_happened_to_a_nic_is_known,
    a_mix_is_summed_over_its_range,
    every_figure_of_a_mix_has_its_column,
    the_report_view_gives_the_old_columns,
    the_report_view_equals_an_independent_computation,
    account_totals_are_what_sql_says_over_raw_rows,
    sums_of_groups_are_those_of_the_raw_rows_to_the_byte,
    retention_and_commits_go_side_by_side,
    a_reader_of_an_export_that_stalls_gets_every_row_once,
    a_clock_two_years_ahead_deletes_nothing_and_is_kept_in_mind_over_restarts,
    rows_said_to_be_complete_from_the_future_on_are_looked_at_anew,
    purging_leaves_no_row_of_a_client_and_all_of_the_others,
    talkers_are_read_back_exactly_and_are_never_doubled,
    figures_beyond_any_link_delay_nobody,
    sums_beyond_64_bits_break_neither_proof_nor_views_nor_retention,
}

crate::behaviours! { crate::sqlite::fresh();
    packed_mixes_read_as_before_and_late_ones_join_them,
    an_hour_of_mixes_is_packed_together_and_goes_by_age,
    a_purged_client_has_no_packed_mixes,
    damaged_mixes_are_found_and_never_read_as_fewer,
}

/// Everything that is read of a NIC.
#[derive(Debug, PartialEq)]
pub struct Told {
    points: Vec<Point>,
    ranges: Vec<Vec<Point>>,
    resolutions: Vec<Resolution>,
    events: Vec<(WallNs, EventKind)>,
    exported: Vec<ExportRow>,
    samples: Vec<i64>,
    report: Vec<ReportRow>,
}

pub async fn told(place: &impl Place, store: &Arc<dyn Database>, samples: &str) -> Told {
    let range = |from_ns, to_ns| SeriesRange {
        from_ns: WallNs(from_ns),
        to_ns: WallNs(to_ns),
        ..all("web", "eth0", Resolution::Raw)
    };
    let of = |it: &SeriesRange| NicRange {
        client: it.client.clone(),
        nic: it.nic.clone(),
        from_ns: it.from_ns,
        to_ns: it.to_ns,
    };
    let (mut ranges, mut resolutions) = (Vec::new(), Vec::new());
    for minutes in [0, 13, 59, 60, 119] {
        let from = START + minutes * MINUTE;
        for length in [SECOND, 90 * SECOND, HOUR] {
            let range = SeriesRange { limit: 15, ..range(from, from + length) };
            let mut points = store.series(&range).await.unwrap().points;
            points.sort_by_key(|row| (row.start_ns, row.rx.bytes));
            ranges.push(points);
            let range = SeriesRange { resolution: None, ..range };
            resolutions.push(store.series(&range).await.unwrap().resolution);
        }
    }
    let events = store.events(&of(&range(START, START + 3 * HOUR)), 100_000).await.unwrap();
    let (sender, mut receiver) = mpsc::channel(64);
    let everything = ExportRange {
        client: "web".into(),
        nics: vec!["eth0".into()],
        from_ns: WallNs(0),
        to_ns: WallNs(START + DAY),
    };
    let (done, mut exported) = tokio::join!(store.export(&everything, sender), async {
        let mut rows = Vec::new();
        while let Some(some) = receiver.recv().await {
            rows.extend(some);
        }
        rows
    });
    done.unwrap();
    // Rows with the same start have no order.
    exported.sort_by_key(|row| (row.point.start_ns, row.point.rx.bytes, row.gap.is_some()));
    let mut points = raw(store, "web", "eth0").await;
    points.sort_by_key(|row| (row.start_ns, row.rx.bytes));
    Told {
        points,
        ranges,
        resolutions,
        events: events.into_iter().map(|it| (it.time_ns, it.kind)).collect(),
        exported,
        samples: place.numbers(samples).await,
        report: place.report("web").await,
    }
}

/// What the view of samples has.
const SAMPLES: &str =
    "SELECT rx_bytes + time % 7919 FROM bandwidth_samples ORDER BY time, rx_bytes";

/// Samples over three hours as agents make them, some late and some twice at a time.
pub fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let start = prop_oneof![0..3 * 7200_u64, 7000..7400_u64, Just(7199), Just(7200)];
    prop::collection::vec((start, 0..1_000_000_u64, 0..20_u32), 1..400).prop_map(|rows| {
        let sample = |(half, n, flags): (u64, u64, u32)| Sample {
            flags: if flags < 5 { 1 << flags } else { 0 },
            ..sample("eth0", START + half * SECOND / 2, n)
        };
        rows.into_iter().map(sample).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_samples_read_as_before_and_late_ones_join_them() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let place = crate::sqlite::fresh().await;
        let (store, mut agent) = opened(&place).await;
        let samples = samples().new_tree(&mut runner).unwrap().current();
        let lost = sample("eth0", START + 30 * MINUTE, 77);
        let gap = agent.record(9, Gap::SpoolFull as u8, vec![lost]);
        store.commit(&batch([agent.batch(vec![gap])])).await.unwrap();
        let mut packed = 0;
        for (part, until) in samples.chunks(samples.len().div_ceil(4)).zip([1, 3, 0, 2]) {
            store.commit(&agent.next(part.to_vec())).await.unwrap();
            let before = told(&place, &store, SAMPLES).await;
            packed += store.pack(WallNs(START + until * HOUR + 5)).await.unwrap();
            assert_eq!(told(&place, &store, SAMPLES).await, before);
            assert_sound(&store).await;
        }
        packed += store.pack(WallNs(START + DAY)).await.unwrap();
        assert_eq!(packed, samples.len() as u64, "each is packed once");
        assert_eq!(place.numbers("SELECT count(*) FROM hot_samples").await, [0]);
        assert_stretches(&place).await;
    }
}

/// Stretches of a NIC lie within an hour each and don't overlap, and what stands beside them is true.
async fn assert_stretches(place: &Sqlite) {
    let hours = "SELECT first / 3600000000000 - time / 3600000000000 FROM packed_samples";
    assert_eq!(BTreeSet::from_iter(place.numbers(hours).await), BTreeSet::from([0]));
    let overlaps = "SELECT count(*) FROM packed_samples a JOIN packed_samples b
        ON a.client = b.client AND a.nic = b.nic AND a.id < b.id AND a.first < b.time
            AND b.first < a.time";
    assert_eq!(place.numbers(overlaps).await, [0]);
    let sums =
        "SELECT count(*) FROM packed_samples p WHERE (samples, rx_bytes, tx_packets, flags) <>
        (SELECT count(*), sum(value ->> 3), sum(value ->> 6), p.flags
         FROM json_each(only_collector_sql_unpacks(p.columns, p.first, p.time)))";
    assert_eq!(place.numbers(sums).await, [0]);
}

/// A store with samples of eth0, one every half second over `hours`.
pub async fn filled(hours: u64) -> (Sqlite, Arc<dyn Database>, Agent) {
    let place = crate::sqlite::fresh().await;
    let (store, mut agent) = opened(&place).await;
    let samples: Vec<Sample> =
        (0..hours * 7200).map(|n| sample("eth0", START + n * SECOND / 2, n % 1000)).collect();
    let frames = samples.chunks(500).map(|chunk| agent.frame(chunk.to_vec())).collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    (place, store, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_is_packed_once_it_has_ended_and_a_late_sample_changes_its_stretch_alone() {
    let (place, store, mut agent) = filled(2).await;
    assert_eq!(store.pack(WallNs(START + HOUR - 1)).await.unwrap(), 0);
    assert_eq!(store.pack(WallNs(START + 2 * HOUR - 1)).await.unwrap(), 7200);
    assert_eq!(place.numbers("SELECT samples FROM packed_samples").await, [1200; 6]);
    let ids = place.numbers("SELECT id FROM packed_samples ORDER BY time").await;
    let late = Sample { rx: sample("eth0", 0, 5000).rx, ..sample("eth0", START + 20 * MINUTE, 1) };
    store.commit(&agent.next(vec![late])).await.unwrap();
    assert_eq!(store.pack(WallNs(START + HOUR)).await.unwrap(), 1);
    let after = place.numbers("SELECT id FROM packed_samples ORDER BY time").await;
    assert_eq!((&after[..2], &after[4..]), (&ids[..2], &ids[3..]));
    let counts = "SELECT samples FROM packed_samples ORDER BY time";
    assert_eq!(place.numbers(counts).await, [1200, 1200, 601, 600, 1200, 1200, 1200]);
    assert!(raw(&store, "web", "eth0").await.contains(&point(&late)));
    assert_stretches(&place).await;
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_samples_go_by_age_stretch_by_stretch() {
    let (place, store, _) = filled(3).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    let limits = RetentionLimits::default();
    let now = WallNs(START + 7 * DAY + HOUR + 30 * MINUTE);
    let retained = store.retain(&limits, now).await.unwrap();
    // An hour and a half, ten minutes each.
    assert_eq!(retained.rows, 9);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_samples").await, [18 - 9]);
    assert_eq!(
        place.numbers("SELECT min(time) <= raw_from FROM retention, bandwidth_stats").await,
        [1]
    );
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_client_has_no_packed_samples() {
    let (place, store, _) = filled(1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    store.purge(&client("web")).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM packed_samples").await, [0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_stretches_are_found_and_never_read_as_fewer_samples() {
    for (damage, sum) in [
        ("columns = substr(columns, 1, length(columns) - 1)", false),
        ("rx_bytes = rx_bytes + 1", true),
    ] {
        let (place, store, _) = filled(1).await;
        store.pack(WallNs(START + DAY)).await.unwrap();
        place.execute(&format!("UPDATE packed_samples SET {damage} WHERE id = 2")).await;
        let findings = store.check().await.unwrap().findings;
        let found = findings.iter().find(|it| it.contains("NIC eth0: packed samples from"));
        let found = found.unwrap_or_else(|| panic!("{damage}: {findings:?}"));
        assert!(found.contains("packed_samples.id = 2"), "{found}");
        let whole = store.series(&all("web", "eth0", Resolution::Raw)).await;
        assert!(whole.is_err(), "{damage}");
        let minute =
            SeriesRange { to_ns: WallNs(START + MINUTE), ..all("web", "eth0", Resolution::Raw) };
        assert_eq!(store.series(&minute).await.unwrap().points.len(), 120, "{damage}");
        let db = place.connection();
        let count = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0));
        assert_eq!(count("SELECT count(*) FROM bandwidth_stats").is_err(), !sum, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sqlite_programs_refuse_the_views_and_collector_sql_answers() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("netmon.sqlite")).unwrap();
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let both = vec![sample("eth0", START, 1), sample("eth0", START + HOUR, 2)];
    let mut frame = agent.frame(both);
    frame.mixes = vec![mix(START, 1), mix(START + HOUR, 2)];
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    assert_eq!(store.pack(WallNs(START + HOUR)).await.unwrap(), 2);
    let bare = rusqlite::Connection::open(directory.path().join("netmon.sqlite")).unwrap();
    for view in ["bandwidth_stats", "bandwidth_samples", "bandwidth_report", "traffic_mix"] {
        let refused = bare.prepare(&format!("SELECT * FROM {view}")).unwrap_err().to_string();
        assert!(refused.contains("no such function: only_collector_sql_unpacks"), "{refused}");
        let answer = sql(directory.path(), &format!("SELECT count(*) AS rows FROM {view}"));
        assert_eq!(answer, ("rows\n2\n".to_owned(), Some(0)), "{view}");
    }
    let (refused, code) = sql(directory.path(), "DELETE FROM packed_samples");
    assert!(refused.contains("readonly") && code == Some(1), "{refused}");
    let (refused, code) = sql(directory.path(), "SELECT 1 FROM nowhere");
    assert!(refused.contains("no such table: nowhere") && code == Some(1), "{refused}");
}

fn sql(data: &Path, query: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    let command = command.env_clear().arg("--data-dir").arg(data).args(["sql", query]);
    let output = command.output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    (text.concat(), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_read_of_packed_samples_only_what_is_asked_for() {
    let (place, store, _) = filled(1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    let db = place.connection();
    let plan = |sql: &str| -> Vec<String> {
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = explain.query_map([], |row| row.get(3)).unwrap();
        lines.collect::<Result<_, _>>().unwrap()
    };
    let time = "time >= 5 AND time < 9 AND stretch_to >= 5 AND stretch_from < 9";
    let mixes = plan(&format!("SELECT * FROM traffic_mix WHERE client = 1 AND nic = 1 AND {time}"));
    for search in [
        "SEARCH p USING INDEX packed_mixes_nic (client=? AND nic=? AND time>?)",
        "SEARCH hot_mixes USING PRIMARY KEY (client=? AND nic=? AND time>? AND time<?)",
    ] {
        assert!(mixes.iter().any(|line| line.contains(search)), "{mixes:#?}");
    }
    for view in ["bandwidth_samples", "bandwidth_report"] {
        let of_nic = "client_id = 'web' AND nic = 'eth0'";
        let plan = plan(&format!("SELECT * FROM {view} WHERE {of_nic} AND {time}"));
        let has = |words: &str| plan.iter().any(|line| line.contains(words));
        assert!(
            has("SEARCH p USING INDEX packed_samples_nic (client=? AND nic=? AND time>?)"),
            "{plan:#?}"
        );
        assert!(
            has("SEARCH s USING PRIMARY KEY (client=? AND nic=? AND time>? AND time<?)"),
            "{plan:#?}"
        );
        assert!(!plan.iter().any(|line| line.starts_with("SCAN p")), "{plan:#?}");
    }
}

/// Only the rooms of samples and mixes know the tables in which they are: whoever read one would miss some.
#[test]
fn only_the_rooms_of_samples_and_mixes_name_their_tables() {
    fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => files(&entry, found),
                false => found.push(entry),
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let names = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        ["hot_samples", "packed_samples", "hot_mixes", "packed_mixes"]
            .into_iter()
            .any(|table| text.contains(table))
    };
    let name = |path: std::path::PathBuf| path.strip_prefix(&source).unwrap().display().to_string();
    let named: BTreeSet<String> = all.into_iter().filter(names).map(name).collect();
    let known = [
        "cli.rs",
        "store/postgres/hot.sql",
        "store/postgres/hot_mixes.sql",
        "store/postgres/migrate.rs",
        "store/postgres/mixes/mod.rs",
        "store/postgres/mixes/packing.rs",
        "store/postgres/packed.sql",
        "store/postgres/packed_citus.sql",
        "store/postgres/packed_mixes.sql",
        "store/postgres/partition.rs",
        "store/postgres/readers.rs",
        "store/postgres/samples/mod.rs",
        "store/postgres/samples/packing.rs",
        "store/postgres/samples/proof.rs",
        "store/postgres/samples/stretch.rs",
        "store/postgres/tables/mixes.rs",
        "store/postgres/tables/samples.rs",
        "store/sqlite/mixes/functions.rs",
        "store/sqlite/mixes/mod.rs",
        "store/sqlite/mixes/packing.rs",
        "store/sqlite/mixes/tables.rs",
        "store/sqlite/open.rs",
        "store/sqlite/packed.sql",
        "store/sqlite/packed_mixes.sql",
        "store/sqlite/samples/functions.rs",
        "store/sqlite/samples/mod.rs",
        "store/sqlite/samples/packing.rs",
        "store/sqlite/samples/stretch.rs",
        "store/sqlite/samples/tables.rs",
        "store/sqlite/tables/mixes.rs",
        "store/sqlite/tables/samples.rs",
    ];
    assert_eq!(named, known.map(str::to_owned).into());
}
