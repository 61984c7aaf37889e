//! `collector export` from both stores, as operators run it.

use std::collections::BTreeMap;
use std::process::Command;

use collector::store::Commit;
use testbed::{onto_closed_pipe, onto_full_disk};
use wire::WallNs;
use wire::frame::Gap;

use crate::batches::{Agent, MINUTE, SECOND, START, batch, client, hello, sample};
use crate::postgres::fresh;
use crate::suite::{Place, minute};

/// Exports line by line, in both formats and from both stores; they must be equal.
struct Exports {
    commands: [Box<dyn Fn() -> Command>; 2],
}

impl Exports {
    fn of(&self, args: &[&str]) -> (String, Option<i32>) {
        let run = |command: &dyn Fn() -> Command| {
            let output = command().arg("export").args(args).output().unwrap();
            let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
            (text.concat(), output.status.code())
        };
        let [sqlite, postgres] = self.commands.each_ref().map(|it| run(it.as_ref()));
        assert_eq!(sqlite, postgres);
        sqlite
    }
}

/// Both stores with the same rows: 3000 samples of one NIC, 2 of another, and gaps.
async fn filled() -> (Exports, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_owned();
    let place = fresh().await;
    let sqlite = collector::store::sqlite::SqliteStore::open(&data.join("netmon.sqlite")).unwrap();
    let postgres = place.open().await;
    for store in [&sqlite as &dyn collector::store::Store, postgres.as_ref()] {
        store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
        let mut agent = Agent::new("web", 1, 1);
        let at = |n| START + n * SECOND / 2;
        let samples: Vec<_> = (0..3000).map(|n| sample("eth0", at(n), n)).collect();
        let frames = samples.chunks(500).map(|chunk| agent.frame(chunk.to_vec())).collect();
        store.commit(&batch([agent.batch(frames)])).await.unwrap();
        store.open_sessions(&client("idle"), &hello(&[9]), WallNs(START)).await.unwrap();
        let lost = vec![sample("eth0", START + 30 * MINUTE, 77)];
        let frames = vec![
            agent.record(100, Gap::SpoolFull as u8, lost),
            agent.record(5, Gap::Forgotten as u8, vec![]),
            agent.frame(vec![
                sample("eth0", START + 40 * MINUTE, 5),
                sample("a,\"b", START + 10 * SECOND, 6),
                sample("a,\"b", START + 50 * SECOND, 7),
            ]),
        ];
        store.commit(&batch([agent.batch(frames)])).await.unwrap();
        // More than are handed over at a time.
        let frames = (0..600).map(|n| {
            let mut frame = agent.frame(vec![]);
            frame.talkers = vec![minute(START + n * MINUTE, n)];
            frame
        });
        let frames = frames.collect();
        store.commit(&batch([agent.batch(frames)])).await.unwrap();
    }
    let url = place.url;
    let collector = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
        command.env_clear();
        command
    };
    let embedded = move || {
        let mut command = collector();
        command.arg("--data-dir").arg(&data);
        command
    };
    let database = move || {
        let mut command = collector();
        command.env("NETMON_COLLECTOR_DATABASE__URL", &url);
        command
    };
    (Exports { commands: [Box::new(embedded), Box::new(database)] }, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_exported_with_its_gaps_and_the_same_from_both_stores() {
    let (exports, _directory) = filled().await;
    let (csv, code) = exports.of(&["--client", "web"]);
    assert_eq!(code, Some(0), "{csv}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<BTreeMap<String, String>> =
        reader.deserialize().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 3000 + 1 + 2 + 2);
    let sum = |nic: &str, kind: &str| -> u64 {
        let of = rows.iter().filter(|row| row["nic"] == nic && row["kind"] == kind);
        of.filter_map(|row| row["rx_bytes"].parse::<u64>().ok()).sum()
    };
    assert_eq!(sum("eth0", "sample"), (0..3000).map(|n| 1000 * n + 1).sum::<u64>() + 5001);
    assert_eq!(sum("eth0", "gap"), 77_001);
    assert_eq!(sum("a,\"b", "sample"), 6001 + 7001);
    let first = rows.iter().find(|row| row["nic"] == "eth0").unwrap();
    assert_eq!(first["time"], "2027-01-15T00:00:00Z");
    assert_eq!((first["interval_ns"].as_str(), first["tx_packets"].as_str()), ("500000000", "2"));
    let gap = rows.iter().find(|row| row["kind"] == "gap").unwrap();
    assert_eq!(gap["gap_reason"], "spool_full");
    assert_eq!((gap["first_seq"].as_str(), gap["last_seq"].as_str()), ("7", "106"));
    let unknown = rows.last().unwrap();
    assert_eq!((unknown["gap_reason"].as_str(), unknown["rx_bytes"].as_str()), ("forgotten", ""));
    let times: Vec<&str> =
        rows.iter().filter(|row| row["nic"] == "eth0").map(|row| row["time"].as_str()).collect();
    assert_eq!(times.len(), 3002);
    let (json, code) = exports.of(&["--client", "web", "--nic", "eth0", "--format", "jsonl"]);
    assert_eq!(code, Some(0), "{json}");
    let lines = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let bytes: u64 = lines.filter_map(|line| line["rx_bytes"].as_u64()).sum();
    assert_eq!(bytes, sum("eth0", "sample") + sum("eth0", "gap"));
}

#[tokio::test(flavor = "multi_thread")]
async fn talkers_are_exported_with_their_owners_and_the_same_from_both_stores() {
    let (exports, _directory) = filled().await;
    let (csv, code) = exports.of(&["--client", "web", "--talkers"]);
    assert_eq!(code, Some(0), "{csv}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<BTreeMap<String, String>> =
        reader.deserialize().collect::<Result<_, _>>().unwrap();
    // Each minute and direction: 4 or 1 talkers, and the rest.
    assert_eq!(rows.len(), 600 * (5 + 2));
    let number = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<u64>().unwrap();
    for (n, lines) in (0..).zip(rows.chunks(7)) {
        let of = minute(START + n * MINUTE, n);
        for (direction, list) in [("rx", of.rx), ("tx", of.tx)] {
            let lines = lines.iter().filter(|row| row["direction"] == direction);
            let total: u64 = lines.clone().map(|row| number(row, "bytes")).sum();
            let packets: u64 = lines.map(|row| number(row, "packets")).sum();
            let expected = (list.total_bytes.get(), list.total_packets.get());
            assert_eq!((total, packets), expected, "{n} {direction}");
        }
    }
    let first = &rows[0];
    let cells = ["nic", "kind", "address", "port", "owner_kind", "owner", "process"];
    let expected = ["eth0", "minute", "10.1.2.3", "443", "unit", "nginx.service", "worker"];
    assert_eq!(cells.map(|it| first[it].as_str()), expected);
    let (range, _) = exports.of(&[
        "--client",
        "web",
        "--nic",
        "eth0",
        "--talkers",
        "--from",
        "2027-01-15T00:01:00Z",
        "--to",
        "2027-01-15T00:03:00Z",
        "--format",
        "jsonl",
    ]);
    assert_eq!(range.lines().count(), 14, "{range}");
    let (none, _) = exports.of(&["--client", "idle", "--talkers"]);
    assert_eq!(none.lines().count(), 1, "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_exported_alone_and_what_is_not_there_is_named() {
    let (exports, directory) = filled().await;
    let from = ["--client", "web", "--nic", "eth0", "--from", "2027-01-15T00:01:00Z", "--to"];
    let (csv, _) = exports.of(&[&from[..], &["2027-01-15T00:02:00Z"]].concat());
    // A header, two samples a second, and the gap without a time.
    assert_eq!(csv.lines().count(), 1 + 120 + 1, "{csv}");
    // The range holds only the gap without a time; for the other NIC not even that.
    let head = csv.lines().next().unwrap().to_owned() + "\n";
    let (csv, _) = exports.of(&["--client", "idle", "--from", "2020-01-01T00:00:00Z"]);
    assert_eq!(csv, head);
    let (text, code) = exports.of(&["--client", "nobody"]);
    assert!(text.contains("no client nobody") && code == Some(1), "{text}");
    let (text, code) = exports.of(&["--client", "web", "--nic", "eth9"]);
    assert!(text.contains("never had a NIC eth9; it had: a,\"b eth0") && code == Some(1), "{text}");
    let (text, code) = exports.of(&["--client", "web", "--from", "yesterday"]);
    assert!(text.contains("seconds since 1970") && code == Some(2), "{text}");
    let file = directory.path().join("out.csv");
    let path = file.display().to_string();
    let (text, code) = exports.of(&["--client", "web", "--output", &path]);
    assert!(text.contains("3005 rows") && code == Some(0), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 3006);
    let (text, code) = exports.of(&["--client", "web", "--output", "/nowhere/out.csv"]);
    assert!(text.contains("/nowhere/out.csv") && code == Some(1), "{text}");
    let (text, code) = exports.of(&["--client", "web", "--output", "/dev/full"]);
    assert!(text.contains("/dev/full: No space left") && code == Some(1), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_had_enough_and_a_full_disk_end_an_export_as_they_end_cat() {
    let (exports, _directory) = filled().await;
    for command in &exports.commands {
        let mut command = command();
        command.args(["export", "--client", "web"]);
        let output = onto_closed_pipe(&mut command);
        assert_eq!(output.status.code(), Some(141), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let output = onto_full_disk(&mut command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains("can't write to the standard output: No space"), "{why}");
    }
}
