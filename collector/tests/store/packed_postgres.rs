//! Packed samples in PostgreSQL: they read as they did before, whoever asks.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collector::store::postgres::{Authorities, PostgresStore};
use collector::store::{Commit, Database, Query, Resolution, Retain, RetentionLimits, SeriesRange};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use testbed::until;
use wire::WallNs;
use wire::frame::{Gap, Sample};

use crate::batches::{Agent, DAY, MINUTE, SECOND, START, all, batch, client, point, sample};
use crate::cluster;
use crate::packed::{HOUR, samples, told};
use crate::postgres::{Postgres, config, fresh, midnight};
use crate::suite::{
    Place, ReportRow, assert_sound, commit_talkers, minute, mix_range, opened, raw, with_mixes,
};

/// The store of a place that packs all the time, whatever the age of rows.
struct Packing(Postgres);

impl Place for Packing {
    async fn open(&self) -> Arc<dyn Database> {
        let store = Arc::new(PostgresStore::new(self.0.config.clone()));
        let packed = Arc::downgrade(&store);
        tokio::spawn(async move {
            while let Some(store) = packed.upgrade() {
                // Changes of the schema by tests, and retention beside it, may stop a turn.
                let _turn = store.pack(WallNs::MAX).await;
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
    Packing(fresh().await)
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
    a_mix_is_summed_over_its_range,
    what_happened_to_a_nic_is_known,
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

crate::behaviours! { fresh();
    packed_mixes_read_as_before_and_late_ones_join_them,
    a_purged_client_has_no_packed_mixes,
    damaged_mixes_are_found_and_never_read_as_fewer,
}

/// What the view of samples has.
const SAMPLES: &str = "SELECT rx_bytes + (extract(epoch FROM timestamp) * 1000000)::bigint % 7919
    FROM bandwidth_samples ORDER BY timestamp, rx_bytes";

#[tokio::test(flavor = "multi_thread")]
async fn packed_samples_read_as_before_and_late_ones_join_them() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..4 {
        let place = fresh().await;
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
async fn assert_stretches(place: &Postgres) {
    let hours = "SELECT count(*) FROM packed_samples
        WHERE date_bin('1 hour', first, 'epoch') <> date_bin('1 hour', time, 'epoch')";
    assert_eq!(place.numbers(hours).await, [0]);
    let overlaps = "SELECT count(*) FROM packed_samples a JOIN packed_samples b
        ON a.client = b.client AND a.nic = b.nic AND a.id < b.id AND a.first < b.time
            AND b.first < a.time";
    assert_eq!(place.numbers(overlaps).await, [0]);
    let sums = "SELECT count(*) FROM packed_samples p WHERE (samples, rx_bytes, tx_packets) <>
        (SELECT count(*), sum(u.rx_bytes), sum(u.tx_packets)
         FROM unpack_samples(p.client, p.nic, p.columns) u)";
    assert_eq!(place.numbers(sums).await, [0]);
}

/// A store with samples of eth0, one every half second from `start` on.
pub async fn filled(start: u64, hours: u64) -> (Postgres, Arc<dyn Database>, Agent) {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    let samples: Vec<Sample> =
        (0..hours * 7200).map(|n| sample("eth0", start + n * SECOND / 2, n % 1000)).collect();
    let frames = samples.chunks(500).map(|chunk| agent.frame(chunk.to_vec())).collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    (place, store, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_is_packed_once_it_has_ended_and_a_late_sample_changes_its_stretch_alone() {
    let (place, store, mut agent) = filled(START, 2).await;
    assert_eq!(store.pack(WallNs(START + HOUR - 1)).await.unwrap(), 0);
    assert_eq!(store.pack(WallNs(START + 2 * HOUR - 1)).await.unwrap(), 7200);
    let counts = "SELECT samples FROM packed_samples ORDER BY time";
    assert_eq!(place.numbers(counts).await, [1800; 4]);
    let ids = place.numbers("SELECT id FROM packed_samples ORDER BY time").await;
    let late = Sample { rx: sample("eth0", 0, 5000).rx, ..sample("eth0", START + 20 * MINUTE, 1) };
    store.commit(&agent.next(vec![late])).await.unwrap();
    assert_eq!(store.pack(WallNs(START + HOUR)).await.unwrap(), 1);
    let after = place.numbers("SELECT id FROM packed_samples ORDER BY time").await;
    assert_eq!((after[0], &after[3..]), (ids[0], &ids[2..]));
    assert_eq!(place.numbers(counts).await, [1800, 901, 900, 1800, 1800]);
    assert!(raw(&store, "web", "eth0").await.contains(&point(&late)));
    assert_stretches(&place).await;
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_start_together_are_packed_together_however_many_they_are() {
    // As many as one transaction packs at most, twice an hour of two a second, are fewer than those of an hour.
    for together in [7, 14_500] {
        let place = fresh().await;
        let (store, mut agent) = opened(&place).await;
        let start = |n: u64| START + n / together * together * SECOND / 3;
        let samples: Vec<Sample> =
            (0..14_507).map(|n| sample("eth0", start(n), n % 1000)).collect();
        let frames = samples.chunks(500).map(|chunk| agent.frame(chunk.to_vec())).collect();
        store.commit(&batch([agent.batch(frames)])).await.unwrap();
        let before = place.numbers(SAMPLES).await;
        assert_eq!(store.pack(WallNs(START + DAY)).await.unwrap(), samples.len() as u64);
        assert_eq!(place.numbers("SELECT count(*) FROM hot_samples").await, [0], "{together}");
        let counts = place.numbers("SELECT samples FROM packed_samples ORDER BY time, id").await;
        assert_eq!(counts.iter().sum::<i64>(), samples.len() as i64, "{counts:?}");
        assert!(counts.len() < 18 && counts.iter().all(|it| *it <= 1800), "{counts:?}");
        assert_eq!(place.numbers(SAMPLES).await, before);
        assert_sound(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_packed_whole_has_no_partition_of_rows_and_goes_by_age_as_one() {
    let first = midnight(9);
    let (place, store, mut agent) = filled(first, 1).await;
    let partitions =
        format!("SELECT count(*) FROM pg_class WHERE relname = 'bandwidth_stats_p{}'", first / DAY);
    assert_eq!(place.numbers(&partitions).await, [1]);
    assert_eq!(store.pack(WallNs(first + 2 * DAY)).await.unwrap(), 7200);
    assert_eq!(place.numbers(&partitions).await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_samples_default").await, [0]);
    // Samples that come late are stored all the same, by whoever believes that the partition is there.
    store.commit(&agent.next(vec![sample("eth0", first + 2 * HOUR, 5)])).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [7201]);
    assert_sound(&store).await;
    store.retain(&RetentionLimits::default(), WallNs(midnight(0) + SECOND)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_samples").await, [0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_client_has_no_packed_samples() {
    let (place, store, _) = filled(START, 1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    store.purge(&client("web")).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM packed_samples").await, [0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_stretches_are_found_and_never_read_as_fewer_samples() {
    for (damage, readable) in [
        ("columns = substr(columns, 1, length(columns) - 1)", false),
        ("columns = set_byte(columns, 3000, get_byte(columns, 3000) # 255)", false),
        ("rx_bytes = rx_bytes + 1", true),
    ] {
        let (place, store, mut agent) = filled(START, 1).await;
        commit_talkers(&store, &mut agent, vec![minute(START + 40 * MINUTE, 1)]).await;
        store.pack(WallNs(START + DAY)).await.unwrap();
        place.execute(&format!("UPDATE packed_samples SET {damage} WHERE id = 2")).await;
        let findings = store.check().await.unwrap().findings;
        let found = findings.iter().any(|it| it.contains("NIC eth0: packed samples from"));
        assert!(found, "{damage}: {findings:?}");
        let whole = store.series(&all("web", "eth0", Resolution::Raw)).await;
        assert_eq!(whole.is_ok(), readable, "{damage}");
        let minute =
            SeriesRange { to_ns: WallNs(START + MINUTE), ..all("web", "eth0", Resolution::Raw) };
        assert_eq!(store.series(&minute).await.unwrap().points.len(), 120, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_unpack_only_what_is_asked_for() {
    let (place, store, _) = filled(START, 2).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    let db = cluster::client(&place.url).await;
    db.batch_execute("ANALYZE; SET enable_seqscan = off").await.unwrap();
    for (view, unpacks) in
        [("bandwidth_samples", "on unpack_samples"), ("bandwidth_report", "on recent_of_stretch")]
    {
        let rows = db
            .query(
                &format!(
                    "EXPLAIN (ANALYZE, TIMING off) SELECT * FROM {view}
                     WHERE client_id = 'web' AND nic = 'eth0'
                       AND timestamp >= '2027-01-15 00:20Z' AND timestamp < '2027-01-15 00:30Z'
                       AND stretch_to >= '2027-01-15 00:20Z' AND stretch_from < '2027-01-15 00:30Z'"
                ),
                &[],
            )
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let unpacks = |line: &&String| line.contains(unpacks) && !line.contains("never executed");
        let unpacked: Vec<&String> = plan.iter().filter(unpacks).collect();
        let one = |line: &&String| line.contains("loops=1)");
        assert!(unpacked.len() == 1 && unpacked.iter().all(one), "one stretch of 4: {plan:#?}");
        let packed =
            plan.iter().skip_while(|line| !line.contains("on packed_samples_default p ")).nth(1);
        assert!(packed.is_some_and(|line| line.contains("\"time\" >=")), "{plan:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_that_pack_at_once_through_a_pooler_beside_commits_show_each_sample_once() {
    let (place, store, mut agent) = filled(START, 3).await;
    let name = place.url.rsplit('=').next().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let packing = [0; 2].map(|_| {
        let store = PostgresStore::new(config(&cluster::pooled(name), Authorities::System));
        let done = done.clone();
        tokio::spawn(async move {
            let mut packed = 0;
            while !done.load(Ordering::Relaxed) {
                packed += store.pack(WallNs::MAX).await.unwrap();
            }
            packed
        })
    });
    let mut samples = 3 * 7200;
    for n in 0..12 {
        let late = sample("eth0", START + n * 800 * SECOND, n);
        store.commit(&agent.next(vec![late])).await.unwrap();
        samples += 1;
        assert_eq!(raw(&store, "web", "eth0").await.len(), samples);
    }
    let hot = "SELECT count(*) FROM hot_samples";
    until("all to be packed", async || place.numbers(hot).await == [0]).await;
    done.store(true, Ordering::Relaxed);
    let mut packed = 0;
    for packing in packing {
        packed += packing.await.unwrap();
    }
    assert_eq!(packed, samples as u64, "each is packed once");
    assert_stretches(&place).await;
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_ask_the_views_alone_reads_packed_samples_whatever_the_search_path() {
    let (place, store, _) = filled(START, 1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    place
        .execute(
            "CREATE ROLE asks_views;
             GRANT SELECT ON bandwidth_stats, bandwidth_samples, bandwidth_report TO asks_views",
        )
        .await;
    let db = cluster::client(&place.url).await;
    db.batch_execute("SET ROLE asks_views; SET search_path = pg_catalog").await.unwrap();
    for view in ["bandwidth_stats", "bandwidth_samples", "bandwidth_report"] {
        let count = format!("SELECT count(*) FROM public.{view}");
        assert_eq!(db.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 7200, "{view}");
    }
    assert!(db.query("SELECT 1 FROM public.packed_samples", &[]).await.is_err());
}

/// Names the database that the test packs in a process of its own.
const PACKS: &str = "NETMON_TEST_PACKS_OF";

/// How often it is killed; more, if this variable says so.
const KILLS: (&str, u64) = ("NETMON_TEST_KILLS", 6);

#[tokio::test(flavor = "multi_thread")]
async fn packing_that_is_killed_at_any_time_loses_and_doubles_nothing() {
    if let Ok(url) = std::env::var(PACKS) {
        let store = PostgresStore::new(config(&url, Authorities::System));
        store.ready().await.unwrap();
        println!("packing");
        store.pack(WallNs::MAX).await.unwrap();
        return;
    }
    let (place, store, mut agent) = filled(START, 6).await;
    store.commit(&with_mixes(&mut agent, 6)).await.unwrap();
    let expected = raw(&store, "web", "eth0").await;
    let range = mix_range(START, START + DAY);
    let mixes = store.mix(&range).await.unwrap();
    let kills = std::env::var(KILLS.0).map_or(KILLS.1, |kills| kills.parse().unwrap());
    let mut halves = 0;
    for kill in 0..kills {
        let name = "packed_postgres::packing_that_is_killed_at_any_time_loses_and_doubles_nothing";
        let mut packs = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--exact", name])
            .env(PACKS, &place.url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(packs.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("packing")));
        tokio::time::sleep(Duration::from_millis(5 + 20 * kill)).await;
        packs.kill().unwrap();
        packs.wait().unwrap();
        place.wait_until_nothing_is_read().await;
        assert_eq!(raw(&store, "web", "eth0").await, expected, "{kill}");
        assert_eq!(store.mix(&range).await.unwrap(), mixes, "{kill}");
        assert_sound(&store).await;
        halves += u64::from(place.numbers("SELECT count(*) FROM hot_samples").await != [0]);
    }
    assert!(halves > 0, "none was killed while it packed");
    store.pack(WallNs(START + DAY)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM hot_samples").await, [0]);
    assert_eq!(raw(&store, "web", "eth0").await, expected);
    assert_eq!(store.mix(&range).await.unwrap(), mixes);
    assert_stretches(&place).await;
}
