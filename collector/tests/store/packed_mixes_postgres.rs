//! Packed mixes in PostgreSQL: they read as they did before, whoever asks.

use std::sync::Arc;

use collector::store::{Commit, Database, NicRange, RetentionLimits};
use settings::InFull;
use wire::WallNs;
use wire::frame::{Mix, MixCounts};

use crate::batches::{Agent, DAY, MINUTE, SECOND, START, batch, client, nic};
use crate::cluster;
use crate::packed::HOUR;
use crate::postgres::{Postgres, fresh, midnight};
use crate::suite::{Place, assert_sound, opened};

/// A mix of 10 s whose figures all differ, some of them equal to the kernel's.
fn mix(start_ns: u64, n: u64) -> Mix {
    let counts = |of: u64| {
        let mut counts = MixCounts::default();
        counts.figures_mut().zip(1..).for_each(|(figure, at)| *figure = at * of % 100_003);
        counts
    };
    let mut mix = Mix {
        nic: nic("eth0"),
        start_ns: WallNs(start_ns),
        interval_ns: 10 * SECOND,
        rx: counts(n),
        tx: counts(7 * n + 1),
        ..Mix::default()
    };
    (mix.kernel.rx_packets, mix.kernel.rx_bytes) = (mix.rx.tcp_packets, mix.rx.ipv4_bytes);
    mix
}

async fn commit(store: &Arc<dyn Database>, agent: &mut Agent, mixes: &[Mix]) {
    let frames = mixes.chunks(200).map(|mixes| {
        let mut frame = agent.frame(vec![]);
        frame.mixes = mixes.to_vec();
        frame
    });
    let frames = frames.collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
}

/// A store with mixes of eth0, one each 10 s from `start` on.
pub async fn filled(start: u64, hours: u64) -> (Postgres, Arc<dyn Database>, Agent) {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    let mixes = (0..hours * 360).map(|n| mix(start + n * 10 * SECOND, n));
    commit(&store, &mut agent, &mixes.collect::<Vec<_>>()).await;
    (place, store, agent)
}

fn range(from: u64, to: u64) -> NicRange {
    let (client, nic) = ("web".into(), "eth0".into());
    NicRange { client, nic, from_ns: WallNs(from), to_ns: WallNs(to) }
}

/// What mixes add up to in ranges within hours, over their ends and beyond them.
async fn sums(store: &Arc<dyn Database>) -> Vec<(u64, MixCounts, MixCounts)> {
    let mut sums = Vec::new();
    for from in [0, 13, 59, 60, 119] {
        for length in [SECOND, 90 * SECOND, HOUR, DAY] {
            let from = START + from * MINUTE;
            let Mix { interval_ns, rx, tx, .. } =
                store.mix(&range(from, from + length)).await.unwrap();
            sums.push((interval_ns, rx, tx));
        }
    }
    sums
}

/// A hash of all rows of the view, whatever their order and the stretches in which they lie.
const ROWS: &str = "SELECT hashtextextended(string_agg(row::text, ',' ORDER BY row::text), 0)
    FROM (SELECT to_jsonb(m) - '{stretch_from, stretch_to}'::text[] AS row FROM traffic_mix m) AS m";

const HOT: &str = "SELECT count(*) FROM hot_mixes";

#[tokio::test(flavor = "multi_thread")]
async fn packed_mixes_read_as_before_and_late_ones_are_read_with_them() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    // In an order of their own; some start together, some have large figures.
    let mixes = (0..1080).map(|n| {
        let at = n * 367 % 1080 / 3 * 3;
        let mut mix = mix(START + at * 10 * SECOND + 1000 * (n % 2), n);
        if n % 100 == 0 {
            mix.rx.figures_mut().for_each(|figure| *figure = (1 << 40) - n);
        }
        mix
    });
    let mixes: Vec<Mix> = mixes.collect();
    let mut packed = 0;
    for (part, until) in mixes.chunks(270).zip([1, 3, 0, 2]) {
        commit(&store, &mut agent, part).await;
        let before = (sums(&store).await, place.numbers(ROWS).await);
        packed += store.pack(WallNs(START + until * HOUR + 5)).await.unwrap();
        assert_eq!((sums(&store).await, place.numbers(ROWS).await), before);
        assert_sound(&store).await;
    }
    packed += store.pack(WallNs(START + DAY)).await.unwrap();
    assert_eq!(packed, 1080, "each is packed once");
    assert_eq!(place.numbers(HOT).await, [0]);
    let hours = "SELECT count(*) FROM packed_mixes
        WHERE date_bin('1 hour', first, 'epoch') <> date_bin('1 hour', time, 'epoch')";
    assert_eq!(place.numbers(hours).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_mixes_of_an_hour_become_several_stretches_and_an_hour_that_goes_on_stays() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    // Two start at each time.
    let mixes = (0..3602).map(|n| mix(START + n / 2 * 2 * SECOND, n));
    commit(&store, &mut agent, &mixes.collect::<Vec<_>>()).await;
    assert_eq!(store.pack(WallNs(START + HOUR - 1)).await.unwrap(), 0);
    assert_eq!(store.pack(WallNs(START + 2 * HOUR - 1)).await.unwrap(), 3600);
    assert_eq!(place.numbers(HOT).await, [2]);
    let counts = "SELECT mixes FROM packed_mixes ORDER BY time";
    assert_eq!(place.numbers(counts).await, [1024, 1024, 1024, 528]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_mixes_that_is_packed_whole_has_no_partition_of_rows_and_goes_by_age_as_one() {
    let first = midnight(9);
    let (place, store, mut agent) = filled(first, 2).await;
    let partitions =
        format!("SELECT count(*) FROM pg_class WHERE relname = 'traffic_mix_p{}'", first / DAY);
    assert_eq!(place.numbers(&partitions).await, [1]);
    assert_eq!(store.pack(WallNs(first + 2 * DAY)).await.unwrap(), 720);
    assert_eq!(place.numbers(&partitions).await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_mixes_default").await, [0]);
    // Mixes that come late are stored all the same, by whoever believes that the partition is there.
    commit(&store, &mut agent, &[mix(first + 3 * HOUR, 5)]).await;
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [721]);
    store.retain(&RetentionLimits::default(), WallNs(midnight(0) + SECOND)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_mixes").await, [0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_mixes_of_days_far_off_go_by_age_and_keep_their_nic_until_then() {
    let (place, store, _) = filled(midnight(500), 1).await;
    store.pack(WallNs(START)).await.unwrap();
    place.execute("UPDATE nics SET present = false").await;
    let retain = async |now| {
        store.retain(&RetentionLimits::default(), WallNs(now)).await.unwrap();
        let rows = "SELECT count(*) FROM packed_mixes_default UNION ALL SELECT count(*) FROM nics";
        place.numbers(rows).await
    };
    assert_eq!(retain(midnight(497)).await, [1, 1]);
    assert_eq!(retain(midnight(480)).await, [0, 0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_client_has_no_packed_mixes() {
    let (place, store, _) = filled(START, 1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    store.purge(&client("web")).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM packed_mixes").await, [0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_mixes_are_found_and_never_read_as_fewer() {
    for (damage, is_readable) in [
        ("columns = substr(columns, 1, length(columns) - 1)", false),
        ("columns = set_byte(columns, 3000, get_byte(columns, 3000) # 255)", false),
        ("mixes = mixes - 1", false),
        ("first = first + interval '1 s'", true),
    ] {
        let (place, store, _) = filled(START, 2).await;
        store.pack(WallNs(START + DAY)).await.unwrap();
        place.execute(&format!("UPDATE packed_mixes SET {damage} WHERE id = 2")).await;
        let findings = store.check().await.unwrap().findings;
        let damaged = |it: &String| {
            it.contains("client web, NIC eth0: packed mixes from 2027-01-15T01:00:0")
                && it.contains("packed_mixes")
        };
        assert!(findings.len() == 1 && findings.iter().all(damaged), "{damage}: {findings:?}");
        let whole = store.mix(&range(START, START + DAY)).await;
        assert_eq!(whole.is_ok(), is_readable, "{damage}");
        if let Err(error) = whole {
            let error = error.in_full().to_string();
            assert!(error.contains("packed mixes from 2027-01-15T01:00:00"), "{error}");
        }
        let hour = store.mix(&range(START, START + HOUR)).await.unwrap();
        assert_eq!(hour.interval_ns, HOUR, "{damage}");
    }
    let (place, store, _) = filled(START, 1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    place.execute("UPDATE packed_mixes SET columns = set_byte(columns, 0, 9)").await;
    let db = cluster::client(&place.url).await;
    let error = db.query("SELECT * FROM traffic_mix", &[]).await.unwrap_err();
    let said = error.as_db_error().unwrap().message();
    assert!(said.contains("are damaged: run netmon-collector fsck"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_mixes_unpacks_only_what_is_asked_for() {
    let (place, store, _) = filled(START, 4).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    let db = cluster::client(&place.url).await;
    db.batch_execute("ANALYZE; SET enable_seqscan = off").await.unwrap();
    let rows = db
        .query(
            "EXPLAIN (ANALYZE, TIMING off) SELECT * FROM traffic_mix WHERE client = 1 AND nic = 1
               AND time >= '2027-01-15 01:20Z' AND time < '2027-01-15 01:30Z'
               AND stretch_to >= '2027-01-15 01:20Z' AND stretch_from < '2027-01-15 01:30Z'",
            &[],
        )
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut unpacked = plan.iter().filter(|line| line.contains("on unpack_mixes"));
    let one = unpacked.next().is_some_and(|line| line.contains("rows=60 loops=1)"));
    assert!(one && unpacked.next().is_none(), "one stretch of 4: {plan:#?}");
    let packed = plan.iter().skip_while(|line| !line.contains("on packed_mixes_default p ")).nth(1);
    assert!(packed.is_some_and(|line| line.contains("\"time\" >=")), "{plan:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_mixes_while_they_are_packed_reads_each_once() {
    let (place, store, _) = filled(START, 8).await;
    let everything = range(START, START + DAY);
    let before = store.mix(&everything).await.unwrap();
    let packing = tokio::spawn({
        let store = store.clone();
        async move { store.pack(WallNs(START + DAY)).await }
    });
    while !packing.is_finished() {
        let now = store.mix(&everything).await.unwrap();
        assert_eq!((now.interval_ns, now.rx, now.tx), (before.interval_ns, before.rx, before.tx));
    }
    assert_eq!(packing.await.unwrap().unwrap(), 8 * 360);
    assert_eq!(place.numbers(HOT).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_ask_the_view_alone_reads_packed_mixes_whatever_the_search_path() {
    let (place, store, _) = filled(START, 1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    place.execute("CREATE ROLE asks_mixes; GRANT SELECT ON traffic_mix TO asks_mixes").await;
    let db = cluster::client(&place.url).await;
    db.batch_execute("SET ROLE asks_mixes; SET search_path = pg_catalog").await.unwrap();
    let count = db.query_one("SELECT count(*) FROM public.traffic_mix", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 360);
    assert!(db.query("SELECT 1 FROM public.packed_mixes", &[]).await.is_err());
}
