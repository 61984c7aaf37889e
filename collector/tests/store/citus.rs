//! Citus support, tested with a stand-in that checks what Citus checks.

use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::{Commit, Distributed, Query};
use settings::InFull;
use wire::WallNs;

use crate::batches::{Agent, DAY, START, batch, client, hello, sample};
use crate::cluster;
use crate::migrate::run;
use crate::packed_mixes_postgres;
use crate::packed_postgres::filled;
use crate::postgres::{Postgres, config, fresh, midnight};
use crate::suite::{Place, mix, raw};

/// The parts of its catalogue that are read, with two workers, and the functions that are called.
const CITUS: &str = "
    CREATE TABLE pg_dist_partition (logicalrelid regclass PRIMARY KEY, partmethod \"char\" NOT NULL,
        partkey text, colocationid integer NOT NULL, repmodel \"char\" NOT NULL,
        autoconverted boolean NOT NULL);
    CREATE TABLE pg_dist_shard (logicalrelid regclass NOT NULL, shardid bigint NOT NULL,
        shardstorage \"char\" NOT NULL, shardminvalue text, shardmaxvalue text);
    CREATE TABLE pg_dist_node (nodeid integer, groupid integer, nodename text, nodeport integer,
        noderack text, hasmetadata boolean, isactive boolean, noderole text, nodecluster text,
        metadatasynced boolean, shouldhaveshards boolean);
    INSERT INTO pg_dist_node
    SELECT id, id, 'db-' || id, 5432, '', true, true, 'primary', 'default', true, id > 0
    FROM generate_series(0, 2) AS id;
    CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text,
        distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default',
        shard_count integer DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql AS $$
    DECLARE
        colocation integer := coalesce((SELECT max(colocationid) FROM pg_dist_partition), 0) + 1;
    BEGIN
        PERFORM 1 FROM pg_attribute
            WHERE attrelid = table_name AND attname = distribution_column AND attnotnull;
        IF NOT FOUND THEN RAISE 'no column % in %', distribution_column, table_name; END IF;
        -- Keys must include the distribution column.
        IF EXISTS (SELECT 1 FROM pg_index i WHERE indrelid = table_name AND indisunique AND NOT EXISTS
            (SELECT 1 FROM pg_attribute a WHERE a.attrelid = table_name
             AND a.attname = distribution_column AND a.attnum = ANY (i.indkey)))
        THEN RAISE 'a key of % lacks %', table_name, distribution_column; END IF;
        -- Distributed tables must not refer to others.
        IF EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f'
            AND (conrelid = table_name OR confrelid = table_name))
        THEN RAISE 'foreign keys of %', table_name; END IF;
        IF colocate_with NOT IN ('none', 'default') THEN
            IF shard_count IS NOT NULL THEN
                RAISE 'Cannot use colocate_with with a table and shard_count at the same time';
            END IF;
            SELECT colocationid INTO colocation FROM pg_dist_partition
            WHERE logicalrelid = colocate_with::regclass;
            IF NOT FOUND THEN RAISE '% is not distributed', colocate_with; END IF;
            SELECT count(*) INTO shard_count FROM pg_dist_shard
            WHERE logicalrelid = colocate_with::regclass;
        END IF;
        INSERT INTO pg_dist_partition VALUES (table_name, 'h', distribution_column, colocation, 's',
            false);
        INSERT INTO pg_dist_shard SELECT table_name, 102000 + nth, 't' FROM
            generate_series(1, coalesce(shard_count, 32)) AS nth;
    END $$;
    CREATE TABLE truncated (table_name regclass);
    CREATE FUNCTION truncate_local_data_after_distributing_table(function_name regclass) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM pg_dist_partition WHERE logicalrelid = function_name;
        IF NOT FOUND THEN RAISE 'supplied parameter is not a distributed relation'; END IF;
        INSERT INTO truncated VALUES (function_name);
    END $$;
    CREATE TABLE answers (node text, success boolean, fsync text, room text);
    CREATE FUNCTION run_command_on_workers(command text, parallel boolean DEFAULT true)
    RETURNS TABLE (nodename text, nodeport integer, success boolean, result text)
    LANGUAGE plpgsql AS $$
    BEGIN
        RETURN QUERY SELECT node, 5432, a.success,
            CASE WHEN command LIKE '%max_connections%' THEN room ELSE fsync END
        FROM answers a ORDER BY node;
    END $$";

async fn with_citus() -> Postgres {
    let place = fresh().await;
    place.execute(CITUS).await;
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fact_tables_are_distributed_by_client_once_into_few_shards() {
    let place = with_citus().await;
    for (args, done) in [(&["migrate", "--check"][..], "to be brought"), (&["migrate"], "brought")]
    {
        let (text, code) = run(&place, args);
        let said = format!("tables {done} to its nodes, by client, in 4 shards on 2 nodes");
        assert!(text.contains(&said) && code == Some(i32::from(args.len() > 1)), "{text}");
    }
    let distributed = cluster::client(&place.url).await;
    let select = "SELECT logicalrelid::text, partkey, colocationid,
                      (SELECT count(*) FROM pg_dist_shard s WHERE s.logicalrelid = p.logicalrelid)
                  FROM pg_dist_partition p JOIN truncated ON table_name = logicalrelid ORDER BY 1";
    let rows = distributed.query(select, &[]).await.unwrap();
    let rows: Vec<(String, String, i32, i64)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let names = [
        "bandwidth_1m",
        "bandwidth_5m",
        "hot_mixes",
        "hot_samples",
        "packed_mixes",
        "packed_samples",
        "talkers",
    ];
    let expected = names.map(|name| (name.to_owned(), "client".to_owned(), 1, 4));
    assert_eq!(rows, expected);
    let (text, code) = run(&place, &["migrate"]);
    assert!(!text.contains("Citus") && code == Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_shards_may_be_told_and_tables_that_come_later_lie_beside_the_others() {
    let place = with_citus().await;
    let told = config(&place.url, Authorities::System).with_shards(6);
    let migrated = PostgresStore::new(told).migrate().await.unwrap().distributed;
    let tables = vec![
        "hot_samples",
        "packed_samples",
        "hot_mixes",
        "packed_mixes",
        "talkers",
        "bandwidth_1m",
        "bandwidth_5m",
    ];
    assert_eq!(migrated, Some(Distributed { tables, shards: 6, nodes: 2, warnings: vec![] }));
    place.execute("DELETE FROM pg_dist_partition WHERE logicalrelid = 'hot_mixes'::regclass").await;
    let config = config(&place.url, Authorities::System).with_shards(9);
    let migrated = PostgresStore::new(config).migrate().await.unwrap().distributed;
    let tables = vec!["hot_mixes"];
    assert_eq!(migrated, Some(Distributed { tables, shards: 6, nodes: 2, warnings: vec![] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_samples_become_rows_before_they_are_spread() {
    let (place, store, _) = filled(START, 1).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    let samples = raw(&store, "web", "eth0").await;
    place.execute(CITUS).await;
    assert_eq!(store.pack(WallNs::MAX).await.unwrap(), 0);
    let (text, code) = run(&place, &["migrate"]);
    assert!(text.contains("brought to its nodes") && code == Some(0), "{text}");
    assert_eq!(place.numbers("SELECT count(*) FROM packed_samples").await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM hot_samples").await, [7200]);
    assert_eq!(raw(&store, "web", "eth0").await, samples);
    // What nodes are asked names no function that they lack.
    let unpack = "SELECT (SELECT count(*) FROM pg_views WHERE definition ~ 'unpack|recent')
        + (SELECT count(*) FROM pg_proc WHERE proname = 'samples_between' AND prosrc ~ 'unpack')";
    assert_eq!(place.numbers(unpack).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_packed_whole_have_their_partitions_again_before_they_are_spread() {
    let day = midnight(3);
    let (place, store, mut agent) = filled(day, 1).await;
    let mut frame = agent.frame(vec![]);
    frame.mixes = vec![mix(day, 1)];
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    assert_eq!(store.pack(WallNs(day + DAY)).await.unwrap(), 7201);
    let number = day / DAY;
    let tables = format!(
        "SELECT count(*) FROM pg_class WHERE relname IN ('bandwidth_stats_p{number}', 'traffic_mix_p{number}')"
    );
    assert_eq!(place.numbers(&tables).await, [0]);
    place.execute(CITUS).await;
    let (text, code) = run(&place, &["migrate"]);
    assert!(text.contains("brought to its nodes") && code == Some(0), "{text}");
    let rows = format!(
        "SELECT count(*) FROM bandwidth_stats_p{number}
         UNION ALL SELECT count(*) FROM traffic_mix_p{number}"
    );
    assert_eq!(place.numbers(&rows).await, [7200, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_mixes_become_rows_before_they_are_spread() {
    let (place, store) = packed_mixes_postgres::packed(2).await;
    place.execute(CITUS).await;
    assert_eq!(store.pack(WallNs::MAX).await.unwrap(), 0);
    let (text, code) = run(&place, &["migrate"]);
    assert!(text.contains("brought to its nodes") && code == Some(0), "{text}");
    let counts = "SELECT count(*) FROM packed_mixes UNION ALL SELECT count(*) FROM hot_mixes
        UNION ALL SELECT count(*) FROM traffic_mix WHERE stretch_from = stretch_to";
    assert_eq!(place.numbers(counts).await, [0, 720, 720]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_room_for_the_connections_of_two_collectors_are_named() {
    let place = with_citus().await;
    // As each says: all, those kept for superusers, and prepared transactions.
    place
        .execute(
            "INSERT INTO answers VALUES ('db-1', true, 'on', '97 3 200'), ('db-2', true, 'on', '25 3 3'),
                 ('db-3', false, 'on', 'connection refused')",
        )
        .await;
    let lines = |text: &str| {
        let lines = text.lines().filter_map(|line| line.split_once("Citus, 4 shards on 2 nodes: "));
        lines.map(|(_, warning)| warning.to_owned()).collect::<Vec<_>>()
    };
    let way_out = "raise it and restart that server";
    let mut few = vec![
        format!(
            "max_prepared_transactions of the node db-2:5432 leaves room for 3, 2 collectors need 4 \
             there: {way_out}"
        ),
        "the node db-3:5432 doesn't answer: connection refused".to_owned(),
    ];
    for args in [&["migrate", "--check"][..], &["migrate"], &["migrate"]] {
        let (text, code) = run(&place, args);
        assert_eq!((lines(&text), code), (few.clone(), Some(i32::from(args.len() > 1))), "{text}");
    }
    place.execute("UPDATE answers SET room = '24 3 4' WHERE node = 'db-2'").await;
    few[0] = format!(
        "max_connections of the node db-2:5432 leaves room for 21, 2 collectors need 22 there: {way_out}"
    );
    // Nothing is to be done by the program.
    let (text, code) = run(&place, &["migrate", "--check"]);
    assert_eq!((lines(&text), code), (few, Some(0)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_may_lose_what_it_acknowledges_is_named_and_one_that_does_not_answer() {
    let place = with_citus().await;
    let name = place.url.rsplit('=').next().unwrap();
    // The tests' own server has fsync off too.
    place.execute("INSERT INTO answers VALUES ('db-1', true, 'on'), ('db-2', true, 'off')").await;
    let config = PostgresConfig::new(place.url.parse().unwrap(), Authorities::System).unwrap();
    let store = PostgresStore::new(config);
    let reason = store.ready().await.unwrap_err().in_full().to_string();
    assert!(reason.contains("the server, the node db-2:5432 run with fsync = off"), "{reason}");
    assert!(reason.contains("database.allow_unsafe: true"), "{reason}");
    let allowed = PostgresStore::new(place.config.clone());
    allowed.ready().await.unwrap();
    place
        .execute("UPDATE answers SET success = false, fsync = 'timeout' WHERE node = 'db-2'")
        .await;
    let reason = allowed.ready().await.unwrap_err().in_full().to_string();
    assert!(reason.contains("the node db-2:5432 doesn't answer: timeout"), "{reason} {name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_several_servers_is_known_once_something_was_committed() {
    let place = with_citus().await;
    let (spread, plain) = (place.open().await, fresh().await.open().await);
    for (store, expected) in [(spread, true), (plain, false)] {
        store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
        let mut agent = Agent::new("web", 1, 1);
        store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
        assert_eq!(store.is_spread(), expected);
    }
}
