//! `/api/v1/talkers`: who had the traffic of a NIC, and which hosts talked to an address.

use std::time::Duration;

use async_trait::async_trait;
use collector::store::{
    Direction, GroupedTalkers, StoreError, TalkerFound, TalkerSearch, TalkersAt, TalkersFound,
    TalkersRange, TalkersReader,
};
use collector::web::{Access, AddressNames, WebLimits};
use serde_json::{Value, json};
use testbed::until;
use wire::id::{ClientId, NicName};
use wire::message::{Host, Inventory, Nic};
use wire::talkers::{
    KeyKind, OwnerKind, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind,
    address_bytes,
};
use wire::{Bytes, Packets, WallNs};

use crate::memory::Memory;
use crate::server::{NOON, Server, named_by, server, server_within};

/// The only moment starts here, within the only minute.
const MOMENT: u64 = NOON + 20_500_000_000;

fn talker(kind: KeyKind, address: [u8; 4], port: u16, bytes: u64, owner: u16) -> Talker {
    let address = address_bytes(address.into());
    let key = TalkerKey { kind: kind as u8, protocol: 6, port, address, other: [0; 16] };
    Talker { key, bytes: Bytes(bytes), packets: Packets(bytes / 100), owner }
}

fn record(kind: TalkersKind) -> Talkers {
    let (start_ns, interval_ns, error) = match kind {
        TalkersKind::Minute => (NOON, 60_000_000_000, 50),
        TalkersKind::Moment => (MOMENT, 500_000_000, 0),
    };
    let rx = TalkerList {
        total_bytes: Bytes(10_000),
        total_packets: Packets(120),
        error_bytes: Bytes(error),
        unlisted_bytes: Bytes(200),
        distinct: 9,
        distinct_error: 1,
        talkers: vec![
            talker(KeyKind::LocalService, [10, 0, 0, 1], 443, 5000, 1),
            talker(KeyKind::RemoteService, [10, 0, 0, 2], 443, 3000, 0),
            talker(KeyKind::LocalService, [10, 0, 0, 1], 22, 1000, 2),
        ],
    };
    let owner = |name: &str, process: &str| TalkerOwner {
        kind: OwnerKind::Unit as u8,
        name: name.into(),
        process: process.into(),
    };
    let owners = vec![owner("nginx.service", "nginx"), owner("=cmd|'/C'!A0", "\u{1b}[31m")];
    let (nic, start_ns) = (NicName::new("eth0").unwrap(), WallNs(start_ns));
    Talkers { nic, start_ns, interval_ns, kind: kind as u8, rx, owners, ..Talkers::default() }
}

#[async_trait]
impl TalkersReader for Memory {
    async fn talkers(&self, range: &TalkersRange) -> Result<GroupedTalkers, StoreError> {
        self.check()?;
        let has = range.client == "web-1" && range.nic == "eth0" && range.from_ns < WallNs(MOMENT);
        let record = has.then(|| record(TalkersKind::Minute));
        Ok(record.map(|it| GroupedTalkers::of_record(&it, range)).unwrap_or_default())
    }

    async fn search_talkers(&self, search: &TalkerSearch) -> Result<TalkersFound, StoreError> {
        self.check()?;
        if search.prefix == 32 {
            return Ok(TalkersFound::default());
        }
        let found = TalkerFound {
            client: "web-1".into(),
            nic: "eth0".into(),
            direction: Direction::Tx,
            bytes: Bytes(6000),
            packets: Packets(60),
            error_bytes: Bytes(1000),
            records: 1,
            first_ns: WallNs(NOON),
            last_ns: WallNs(NOON + 60_000_000_000),
        };
        Ok(TalkersFound { found: vec![found], left_out: 3, unreadable: 2 })
    }

    async fn talkers_at(&self, at: &TalkersAt) -> Result<Option<Talkers>, StoreError> {
        self.check()?;
        let record = record(at.kind);
        let distance = at.at_ns.saturating_since(record.start_ns);
        let near = at.at_ns >= record.start_ns && distance < record.interval_ns + at.within_ns;
        Ok(Some(record).filter(|_| at.client == "web-1" && at.nic == "eth0" && near))
    }
}

const PATH: &str = "/api/v1/talkers?client=web-1&nic=eth0";

/// Connects the client with a link of 1 Mbit/s.
fn connect(server: &Server) {
    let id = ClientId::new("web-1").unwrap();
    server.live.on_connected(&id, "Frontend", &Host::default(), WallNs(NOON));
    let nic = Nic {
        name: NicName::new("eth0").unwrap(),
        speed_bits: 1_000_000,
        kind: "physical".into(),
        up: true,
        ..Nic::default()
    };
    server.live.on_inventory(&id, &Inventory { nics: vec![nic] });
}

fn sum(found: &Value) -> u64 {
    let named = found["talkers"].as_array().unwrap().iter().map(|it| it["bytes"].as_u64().unwrap());
    let others = ["unattributed", "rest"].map(|it| found[it]["bytes"].as_u64().unwrap());
    named.chain(others).sum()
}

#[tokio::test]
async fn talkers_of_a_range_add_up_and_say_how_wrong_they_may_be() {
    let server = server().await;
    connect(&server);
    let range = "&from=2024-01-01T12:00:00Z&to=2024-01-01T12:01:00Z";
    let found = server.get(&format!("{PATH}{range}")).await.json();
    assert_eq!((&found["kind"], &found["by"]), (&json!("minute"), &json!("host")));
    assert_eq!(
        (&found["from"], &found["to"]),
        (&json!("2024-01-01T12:00:00Z"), &json!("2024-01-01T12:01:00Z"))
    );
    assert_eq!(found["total"], json!({ "bytes": 10_000, "packets": 120 }));
    assert_eq!((&found["distinct"], &found["distinct_error"]), (&json!(9), &json!(1)));
    assert_eq!(found["speed_bits_per_second"], 1_000_000);
    let first = &found["talkers"][0];
    assert_eq!((&first["address"], &first["bytes"]), (&json!("10.0.0.1"), &json!(6000)));
    assert_eq!((&first["error_bytes"], &first["kind"]), (&json!(1000), &Value::Null));
    for by in ["host", "service", "owner", "key"] {
        let found = server.get(&format!("{PATH}{range}&by={by}")).await.json();
        assert_eq!(sum(&found), 10_000, "{by}");
        let interval = &found["intervals"][0];
        let named: u64 = interval["talkers_bytes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_u64().unwrap())
            .sum();
        let others = ["unattributed_bytes", "rest_bytes"].map(|it| interval[it].as_u64().unwrap());
        assert_eq!(named + others.iter().sum::<u64>(), interval["total_bytes"].as_u64().unwrap());
    }
    let service = server.get(&format!("{PATH}{range}&by=service")).await.json();
    let first = &service["talkers"][0];
    assert_eq!((&first["kind"], &first["port"]), (&json!("local_service"), &json!(443)));
    assert_eq!((&first["protocol"], &first["address"]), (&json!(6), &Value::Null));
    let owner = server.get(&format!("{PATH}{range}&by=owner&limit=1")).await.json();
    let nginx = json!({ "kind": "unit", "name": "nginx.service", "process": "nginx" });
    assert_eq!(owner["talkers"][0]["owner"], nginx);
    assert_eq!(owner["unattributed"]["bytes"], 3000);
    assert_eq!((sum(&owner), owner["talkers"].as_array().unwrap().len()), (10_000, 1));
    // Only what is stored.
    let none =
        server.get(&format!("{PATH}&from=2024-01-02T12:00:00Z&to=2024-01-02T12:01:00Z")).await;
    let none = none.json();
    assert_eq!((&none["talkers"], &none["intervals"]), (&json!([]), &json!([])));
    server.memory.fail();
    server.error(&format!("{PATH}{range}"), 503).await;
}

#[tokio::test]
async fn at_a_time_there_is_the_sample_that_broke_a_threshold_or_else_its_minute() {
    let server = server().await;
    for (at, kind, length) in [
        ("2024-01-01T12:00:20.5Z", "moment", 500_000_000_u64),
        ("2024-01-01T12:00:20.999Z", "moment", 500_000_000),
        ("2024-01-01T12:00:21Z", "minute", 60_000_000_000),
        ("2024-01-01T12:00:00Z", "minute", 60_000_000_000),
    ] {
        let found = server.get(&format!("{PATH}&at={at}&by=key")).await.json();
        assert_eq!((&found["kind"], &found["covered_ns"]), (&json!(kind), &json!(length)), "{at}");
        assert_eq!((sum(&found), found["intervals"].as_array().unwrap().len()), (10_000, 1));
        let error = if kind == "moment" { 0 } else { 50 };
        assert_eq!(found["talkers"][0]["error_bytes"], error);
        assert_eq!(found["talkers"][0]["owner"]["process"], "nginx");
    }
    let later = server.get(&format!("{PATH}&at=2024-01-01T13:00:00Z")).await.json();
    assert_eq!((&later["talkers"], &later["total"]["bytes"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn csv_has_a_line_for_each_and_nothing_in_it_runs() {
    let server = server().await;
    connect(&server);
    let range = "&from=2024-01-01T12:00:00Z&to=2024-01-01T12:01:00Z&format=csv";
    let csv = server.get(&format!("{PATH}{range}&by=key")).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<&str> = csv.body.lines().collect();
    assert!(lines[0].starts_with("what,client,nic,direction,from,to,covered_ns,address,"));
    assert_eq!(
        lines[1],
        "talker,web-1,eth0,rx,2024-01-01T12:00:00Z,2024-01-01T12:01:00Z,60000000000,10.0.0.1,,,\
         local_service,6,443,unit,nginx.service,nginx,5000,50,50,50.000,0.067"
    );
    assert!(lines[3].contains("unit,'=cmd|'/C'!A0,\\u001b[31m,1000,50,10"), "{}", lines[3]);
    assert!(
        lines[5].starts_with("rest,web-1,") && lines[5].contains(",1000,,30,10.000,"),
        "{}",
        lines[5]
    );
    assert!(lines[6].starts_with("total,") && lines.len() == 7, "{}", csv.body);
    let found = server.get("/api/v1/talkers/search?address=10.0.0.0/8&format=csv").await;
    assert_eq!(
        found.body,
        "client,alias,nic,direction,bytes,error_bytes,packets,records,first,last\n\
         web-1,Frontend,eth0,tx,6000,1000,60,1,2024-01-01T12:00:00Z,2024-01-01T12:01:00Z\n"
    );
}

#[tokio::test]
async fn an_address_or_a_prefix_is_searched_for_in_all_clients() {
    let server = server().await;
    connect(&server);
    let path = "/api/v1/talkers/search?address=10.0.0.0/8&from=1704100000&to=1704200000";
    let found = server.get(path).await.json();
    assert_eq!((&found["address"], &found["truncated"]), (&json!("10.0.0.0/8"), &json!(true)));
    assert_eq!(found["unreadable"], 2);
    let first = &found["found"][0];
    assert_eq!((&first["client"], &first["alias"]), (&json!("web-1"), &json!("Frontend")));
    assert_eq!((&first["direction"], &first["bytes"]), (&json!("tx"), &json!(6000)));
    assert_eq!((&first["error_bytes"], &first["packets"]), (&json!(1000), &json!(60)));
    assert_eq!(first["last"], "2024-01-01T12:01:00Z");
    let none = server.get("/api/v1/talkers/search?address=10.1.2.3").await.json();
    assert_eq!((&none["found"], &none["truncated"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let server = server().await;
    for (query, named) in [
        ("talkers?nic=eth0", "client"),
        ("talkers?client=web-1&nic=", "nic is empty"),
        ("talkers?client=web-1&nic=eth0&by=color", "`host`"),
        ("talkers?client=web-1&nic=eth0&direction=up", "`rx`"),
        ("talkers?client=web-1&nic=eth0&limit=0", "1 to 1000"),
        ("talkers?client=web-1&nic=eth0&intervals=2000", "1 to 1440"),
        ("talkers?client=web-1&nic=eth0&at=1700000000&from=1", "leave one out"),
        ("talkers?client=web-1&nic=eth0&from=5&to=4", "must be before"),
        ("talkers/search", "address"),
        ("talkers/search?address=web", "10.1.2.3"),
        ("talkers/search?address=10.0.0.0/33", "10.1.2.3"),
        ("talkers/search?address=10.0.0.1&limit=20000", "1 to 10000"),
    ] {
        let (code, message) = server.error(&format!("/api/v1/{query}"), 400).await;
        assert!(code == "bad_parameter" && message.contains(named), "{query}: {message}");
    }
    let (code, _) = server.error("/api/v1/talkers?client=nobody&nic=eth0", 404).await;
    assert_eq!(code, "unknown_client");
    let (code, _) = server.error("/api/v1/talkers?client=web-1&nic=eth9", 404).await;
    assert_eq!(code, "unknown_nic");
}

#[tokio::test]
async fn names_are_looked_up_if_both_the_config_and_the_reader_ask_for_it() {
    let range = "&from=2024-01-01T12:00:00Z&to=2024-01-01T12:01:00Z";
    let off = server_within(None, Access::default(), WebLimits::default()).await;
    let found = off.get(&format!("{PATH}{range}&names=true")).await.json();
    assert_eq!((&found["names"], &found["talkers"][0]["host"]), (&json!("off"), &Value::Null));
    let names = AddressNames::with(|address| {
        // A slow resolver.
        std::thread::sleep(Duration::from_millis(50));
        address.to_string().ends_with(".1").then(|| "one.example".to_owned())
    });
    let on = named_by(names).await;
    let unasked = on.get(&format!("{PATH}{range}")).await.json();
    assert_eq!(unasked["names"], "known");
    assert_eq!(unasked["talkers"][0]["host"], Value::Null);
    let asked = format!("{PATH}{range}&names=true");
    assert_eq!(on.get(&asked).await.json()["names"], "pending");
    until("names", async || on.get(&asked).await.json()["names"] == "known").await;
    let found = on.get(&asked).await.json();
    assert_eq!(found["talkers"][0]["host"], "one.example");
    assert_eq!(found["talkers"][1]["host"], Value::Null);
}
