//! Packed mixes in PostgreSQL: they read as they did before, whoever asks.

use std::sync::Arc;

use collector::store::{Commit, Database, RetentionLimits};
use wire::WallNs;
use wire::frame::Mix;

use crate::batches::{Agent, DAY, SECOND, START, batch};
use crate::cluster;
use crate::packed::HOUR;
use crate::postgres::{Postgres, fresh, midnight};
use crate::suite::{Place, assert_sound, mix, mix_range, opened, with_mixes};

async fn commit(store: &Arc<dyn Database>, agent: &mut Agent, mixes: impl Iterator<Item = Mix>) {
    let mut frame = agent.frame(vec![]);
    frame.mixes = mixes.collect();
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
}

/// A store with mixes of eth0, one each 10 s over `hours`, all of them packed.
pub async fn packed(hours: u64) -> (Postgres, Arc<dyn Database>) {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    store.commit(&with_mixes(&mut agent, hours)).await.unwrap();
    store.pack(WallNs(START + DAY)).await.unwrap();
    (place, store)
}

const HOT: &str = "SELECT count(*) FROM hot_mixes";

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_packed_mixes_is_what_it_was() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    // Some are large, some are equal to those like which they are written.
    let mixes = (0..720).map(|n| {
        let mut mix = mix(START + n * 10 * SECOND, n * 7919 % 720);
        if n % 100 == 0 {
            mix.rx.figures_mut().for_each(|figure| *figure = (1 << 40) - n);
        }
        (mix.kernel.rx_packets, mix.kernel.tx_bytes) = (mix.rx.tcp_packets, mix.tx.ipv4_bytes);
        mix
    });
    commit(&store, &mut agent, mixes).await;
    let rows = "SELECT hashtextextended(string_agg(row::text, ',' ORDER BY row::text), 0) FROM
        (SELECT to_jsonb(m) - '{stretch_from, stretch_to}'::text[] AS row FROM traffic_mix m) AS m";
    let before = place.numbers(rows).await;
    assert_eq!(store.pack(WallNs(START + DAY)).await.unwrap(), 720);
    assert_eq!(place.numbers(HOT).await, [0]);
    assert_eq!(place.numbers(rows).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_mixes_of_an_hour_become_several_stretches_and_an_hour_that_goes_on_stays() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    // Two start at each time. They are too many for one transaction.
    commit(&store, &mut agent, (0..3602).map(|n| mix(START + n / 2 * 2 * SECOND, n))).await;
    assert_eq!(store.pack(WallNs(START + HOUR - 1)).await.unwrap(), 0);
    assert_eq!(store.pack(WallNs(START + 2 * HOUR - 1)).await.unwrap(), 3600);
    assert_eq!(place.numbers(HOT).await, [2]);
    let counts = "SELECT mixes FROM packed_mixes ORDER BY time";
    assert_eq!(place.numbers(counts).await, [1800, 1800]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_mixes_that_is_packed_whole_has_no_partition_of_rows_and_goes_by_age_as_one() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    let first = midnight(9);
    commit(&store, &mut agent, (0..720).map(|n| mix(first + n * 10 * SECOND, n))).await;
    let partitions =
        format!("SELECT count(*) FROM pg_class WHERE relname = 'traffic_mix_p{}'", first / DAY);
    assert_eq!(place.numbers(&partitions).await, [1]);
    assert_eq!(store.pack(WallNs(first + 2 * DAY)).await.unwrap(), 720);
    assert_eq!(place.numbers(&partitions).await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_mixes_default").await, [0]);
    // Mixes that come late are stored all the same, by whoever believes that the partition is there.
    commit(&store, &mut agent, [mix(first + 3 * HOUR, 5)].into_iter()).await;
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [721]);
    store.retain(&RetentionLimits::default(), WallNs(midnight(0) + SECOND)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM packed_mixes").await, [0]);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_mixes_of_days_far_off_go_by_age_and_keep_their_nic_until_then() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    commit(&store, &mut agent, (0..9).map(|n| mix(midnight(500) + n * SECOND, n))).await;
    assert_eq!(store.pack(WallNs(START)).await.unwrap(), 9);
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
async fn mixes_with_another_checksum_or_span_are_found_and_named() {
    for (damage, is_readable) in [
        ("columns = set_byte(columns, 3000, get_byte(columns, 3000) # 255)", false),
        ("first = first + interval '1 s'", true),
    ] {
        let (place, store) = packed(2).await;
        place.execute(&format!("UPDATE packed_mixes SET {damage} WHERE id = 2")).await;
        let findings = store.check().await.unwrap().findings;
        let damaged = |it: &String| {
            it.contains("client web, NIC eth0: packed mixes from 2027-01-15T01:00:0")
                && it.contains("row of packed_mixes")
        };
        assert!(findings.len() == 1 && findings.iter().all(damaged), "{damage}: {findings:?}");
        let whole = store.mix(&mix_range(START, START + DAY)).await;
        assert_eq!(whole.is_ok(), is_readable, "{damage}");
        store.mix(&mix_range(START, START + HOUR)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_mixes_unpacks_only_what_is_asked_for_and_fails_on_another_format() {
    let (place, _) = packed(4).await;
    let db = cluster::client(&place.url).await;
    db.batch_execute("ANALYZE; SET enable_seqscan = off").await.unwrap();
    let explain =
        "EXPLAIN (ANALYZE, TIMING off) SELECT * FROM traffic_mix WHERE client = 1 AND nic = 1
        AND time >= '2027-01-15 01:20Z' AND time < '2027-01-15 01:30Z'
        AND stretch_to >= '2027-01-15 01:20Z' AND stretch_from < '2027-01-15 01:30Z'";
    let rows = db.query(explain, &[]).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut unpacked = plan.iter().filter(|line| line.contains("on unpack_mixes"));
    let one = unpacked.next().is_some_and(|line| line.contains("rows=60 loops=1)"));
    assert!(one && unpacked.next().is_none(), "one stretch of 4: {plan:#?}");
    let packed = plan.iter().skip_while(|line| !line.contains("on packed_mixes_default p ")).nth(1);
    assert!(packed.is_some_and(|line| line.contains("\"time\" >=")), "{plan:#?}");
    place.execute("UPDATE packed_mixes SET columns = set_byte(columns, 0, 9)").await;
    let error = db.query("SELECT * FROM traffic_mix", &[]).await.unwrap_err();
    let said = error.as_db_error().unwrap().message();
    assert!(said.contains("are damaged: run netmon-collector fsck"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_mixes_while_they_are_packed_reads_each_once() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    store.commit(&with_mixes(&mut agent, 8)).await.unwrap();
    let everything = mix_range(START, START + DAY);
    let before = store.mix(&everything).await.unwrap();
    let packing = tokio::spawn({
        let store = store.clone();
        async move { store.pack(WallNs(START + DAY)).await }
    });
    while !packing.is_finished() {
        assert_eq!(store.mix(&everything).await.unwrap(), before);
    }
    // And the sample by which the NIC is known.
    assert_eq!(packing.await.unwrap().unwrap(), 8 * 360 + 1);
    assert_eq!(place.numbers(HOT).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_ask_the_view_alone_reads_packed_mixes_whatever_the_search_path() {
    let (place, _) = packed(1).await;
    place.execute("CREATE ROLE asks_mixes; GRANT SELECT ON traffic_mix TO asks_mixes").await;
    let db = cluster::client(&place.url).await;
    db.batch_execute("SET ROLE asks_mixes; SET search_path = pg_catalog").await.unwrap();
    let count = db.query_one("SELECT count(*) FROM public.traffic_mix", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 360);
    assert!(db.query("SELECT 1 FROM public.packed_mixes", &[]).await.is_err());
}
