//! Limits, tested with clients built by the test: the memory that an attack costs the collector, the
//! commit latency of an honest agent, and the messages of both ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::connection::{Server, connect, control, notices};
use agent::identity::Credentials;
use bytes::BytesMut;
use collector::time::now_ns;
use quinn::{Connection, Endpoint, SendStream};
use quinn_proto::{DatagramEvent, Endpoint as ProtoEndpoint, EndpointConfig};
use rustls::pki_types::UnixTime;
use testbed::http::{self, HTTP};
use testbed::{PATIENCE, Running, SLACK, Site, done, in_namespace, in_time, metric, wait_until};
use tokio::sync::mpsc;
use wire::codec;
use wire::frame::{Frame, Sample};
use wire::id::{NicName, SessionId};
use wire::message::{Claim, Hello, HostKey, Inventory, Message, Nic, Session, Tags};
use wire::tag::TagSet;
use wire::{Seq, WallNs};

/// Most memory that an attack may add to the collector in a debug build, MiB.
const ATTACK_MIB: u64 = 100;

/// Connections of one client; without a limit, each would hold 20 MB.
const CONNECTIONS: usize = 20;

/// A client built by the test.
struct Client {
    _endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    messages: mpsc::Receiver<Result<Message, control::ControlError>>,
}

fn credentials(site: &Site, folder: &str) -> Credentials {
    let dir = site.dir().join(folder).join("identity");
    Credentials::load(&dir, None, UnixTime::now()).unwrap()
}

impl Client {
    async fn connect(site: &Site, folder: &str) -> Self {
        Self::try_connect(site, folder).await.unwrap()
    }

    async fn try_connect(site: &Site, folder: &str) -> Option<Self> {
        let credentials = credentials(site, folder);
        let server = Server { host: "127.0.0.1".into(), port: 8082 };
        let name = credentials.server_name(&server.host);
        let connected = connect(&server, name, &credentials.client_config()).await;
        let (endpoint, connection) = connected.ok()?;
        let (send, receive) = connection.open_bi().await.ok()?;
        let messages = control::messages(connection.clone(), receive);
        Some(Self { _endpoint: endpoint, connection, send, messages })
    }

    async fn say(&mut self, message: &Message) -> Option<()> {
        control::write(&mut self.send, &self.connection, message).await.ok()
    }

    /// Sends Hello with these sessions and waits for the welcome.
    async fn introduce(&mut self, sessions: std::ops::Range<u64>) -> Option<()> {
        let running = sessions.end - 1;
        let session = |session| Session { session: SessionId::new(session), started_ns: WallNs(1) };
        let hello = Hello { sessions: sessions.map(session).collect(), ..Hello::default() };
        let host = HostKey { machine: [1; 16], boot: [1; 16] };
        self.say(&Message::Claim(Claim { host, session: SessionId::new(running) })).await?;
        self.say(&Message::Hello(hello)).await?;
        loop {
            match self.messages.recv().await?.ok()? {
                Message::Welcome(_) => break,
                Message::Digests(_) => {}
                other => panic!("{other:?}"),
            }
        }
        self.say(&Message::Agreed(wire::message::Agreed { session: SessionId::new(running) })).await
    }

    /// Says its tags; the tags that count, or why they are refused.
    async fn tag(&self, text: &str) -> Result<String, String> {
        let tags = TagSet::new(text.split(' ').map(|it| it.parse().unwrap())).unwrap();
        let (mut send, mut receive) = self.connection.open_bi().await.unwrap();
        let message = Message::Tags(Tags::of(&tags, 0));
        control::write(&mut send, &self.connection, &message).await.unwrap();
        match control::read(&mut receive, &self.connection).await.unwrap() {
            Message::Tags(counting) => Ok(counting.set().unwrap().to_string()),
            Message::Refused(refused) => Err(refused.reason),
            other => panic!("{other:?}"),
        }
    }

    async fn stream(&self, frames: impl Iterator<Item = Frame>) -> Option<()> {
        let mut stream = self.connection.open_uni().await.ok()?;
        for frame in frames {
            stream.write_all(&codec::encode_frame(&frame).unwrap()).await.ok()?;
        }
        stream.finish().ok()
    }

    fn close_reason(&self) -> String {
        self.connection.close_reason().map_or_else(String::new, |reason| reason.to_string())
    }
}

fn frame(session: u64, seq: u64, samples: usize) -> Frame {
    let sample = |n: usize| Sample {
        nic: NicName::new(&format!("eth{}", n % 8)).unwrap(),
        // Random, so that it can't be packed.
        start_ns: now_ns() + n as u64,
        interval_ns: 500_000_000,
        ..Sample::default()
    };
    let samples = (0..samples).map(sample).collect();
    Frame {
        session: SessionId::new(session),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples,
        mixes: vec![],
        talkers: vec![],
    }
}

/// Memory of a program, MiB.
fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10
}

/// A collector, the attacking client host-1, and the honest client host-2.
fn site() -> (Site, Running) {
    let site = Site::new();
    let collector = site.start_collector();
    site.enroll();
    let token = done(site.collector(&["token"]).output().unwrap());
    let enrolled = site.agent_in("honest", "host-2", &["enroll", token.trim()]).output();
    let _report = done(enrolled.unwrap());
    (site, collector)
}

/// Delivers a frame every 100 ms. Returns the commit times, sorted.
async fn honest(site: &Site, session: u64, count: u64) -> Vec<Duration> {
    let mut client = Client::connect(site, "honest").await;
    client.introduce(session..session + 1).await.unwrap();
    let (mut sent, mut latencies) = (BTreeMap::new(), Vec::new());
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut seq = 0;
    while latencies.len() < usize::try_from(count).unwrap() {
        tokio::select! {
            _ = tick.tick() => {
                if seq < count {
                    seq += 1;
                    let frame = frame(session, seq, 1);
                    let bytes = codec::encode_frame(&frame).unwrap();
                    client.connection.send_datagram(bytes.into()).unwrap();
                    sent.insert(Seq(seq), (frame, Instant::now(), false));
                }
                // Probably lost: a datagram is sent once.
                let late = |at: &Instant| at.elapsed() > Duration::from_secs(1);
                for (frame, at, again) in sent.values_mut().filter(|(_, at, _)| late(at)) {
                    if !std::mem::replace(again, true) {
                        client.stream(std::iter::once(frame.clone())).await.unwrap();
                        println!("frame {} again, after {:.1?}", frame.first_seq, at.elapsed());
                    }
                }
            }
            message = client.messages.recv() => match message.unwrap().unwrap() {
                Message::Ack(ack) => {
                    let rest = sent.split_off(&(ack.committed + 1));
                    latencies.extend(sent.into_values().map(|(_, at, _)| at.elapsed()));
                    sent = rest;
                }
                Message::Probe(_) => {}
                other => panic!("{other:?}"),
            },
        }
    }
    latencies.sort_unstable();
    latencies
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Runs an attack beside an honest agent. Returns the growth of the collector's memory, MiB, and prints
/// what the honest agent noticed.
fn beside(site: &Site, collector: &Running, what: &str, attack: impl Future<Output = ()>) -> u64 {
    let runtime = runtime();
    runtime.block_on(async {
        let calm = honest(site, 1_000_000, 20).await;
        let before = rss(collector.pid());
        let (pid, over) = (collector.pid(), Arc::new(AtomicBool::new(false)));
        let stop = over.clone();
        let watcher = std::thread::spawn(move || {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(rss(pid));
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let (latencies, ()) = tokio::join!(honest(site, 1_000_001, 40), attack);
        over.store(true, Ordering::Relaxed);
        let peak = watcher.join().unwrap();
        let at = |latencies: &[Duration], share: usize| latencies[latencies.len() * share / 100];
        println!(
            "{what}: {before} MiB -> {peak} MiB; commit latency {:.0?} median {:.0?} worst calm, \
             {:.0?} median {:.0?} worst under attack",
            at(&calm, 50),
            calm.last().unwrap(),
            at(&latencies, 50),
            latencies.last().unwrap(),
        );
        peak.saturating_sub(before)
    })
}

#[test]
fn connections_with_frames_after_a_missing_one_take_bounded_memory() {
    if !in_namespace() {
        return;
    }
    let (site, collector) = site();
    let grown = beside(&site, &collector, "connections after a missing frame", async {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let Some(mut client) = Client::try_connect(&site, "agent").await else { continue };
            // The same agent repeatedly.
            if client.introduce(7..8).await.is_none() {
                continue;
            }
            let frames = (2..60).map(|seq| frame(7, seq, 1024));
            let sent = client.stream(frames);
            let _late = tokio::time::timeout(Duration::from_millis(300), sent).await;
            clients.push(client);
        }
        let open = clients.iter().filter(|client| client.close_reason().is_empty()).count();
        println!("{open} of {} connections are open", clients.len());
        let told = clients.iter().filter(|it| it.close_reason().contains("limits.client.waiting"));
        println!("{} were told", told.count());
    });
    assert!(grown < ATTACK_MIB, "{grown} MiB more");
    collector.stop();
}

#[test]
fn empty_frames_of_thousands_of_sessions_take_bounded_memory() {
    if !in_namespace() {
        return;
    }
    let (site, collector) = site();
    let grown = beside(&site, &collector, "4,096 sessions of empty frames", async {
        let mut client = Client::connect(&site, "agent").await;
        client.introduce(1..4097).await.unwrap();
        for session in 1..4097 {
            let frames = (2..=1024).map(|seq| frame(session, seq, 0));
            tokio::select! {
                _ = client.connection.closed() => break,
                sent = client.stream(frames) => if sent.is_none() { break },
            }
        }
        wait_until("the refusal", || !client.close_reason().is_empty());
        let said = client.close_reason();
        assert!(said.contains("limits.client.waiting"), "{said}");
    });
    assert!(grown < ATTACK_MIB, "{grown} MiB more");
    assert!(metric(HTTP, r#"netmon_collector_limited_total{limit="waiting"}"#) >= 1.0);
    collector.stop();
}

#[test]
fn who_is_over_a_limit_is_slowed_and_told_and_doctor_says_so_later() {
    if !in_namespace() {
        return;
    }
    let (site, collector) = site();
    let nic = |n: usize| Nic { name: NicName::new(&format!("nic{n}")).unwrap(), ..Nic::default() };
    let inventory = |from: usize| {
        Message::Inventory(Inventory { nics: (from..from + 3000).map(nic).collect() })
    };
    runtime().block_on(async {
        let mut client = Client::connect(&site, "agent").await;
        client.introduce(7..8).await.unwrap();
        for from in [0, 3000, 6000] {
            client.say(&inventory(from)).await.unwrap();
        }
        let texts = in_time("the notices", notices::hear(&client.connection)).await;
        let text = texts.unwrap().join("\n");
        assert!(
            text.contains("limits.client.nics of the collector allows (4096 a minute)"),
            "{text}"
        );
        wait_until("the collector's word", || collector.log().contains("limits.client.nics"));
        let doctor = site.agent(&["doctor"]).output().unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout);
        assert!(said.contains("limits.client.nics"), "{said}");
        // Others are unaffected.
        let latencies = honest(&site, 1_000_000, 10).await;
        assert!(latencies[9] < Duration::from_secs(3) + SLACK, "{latencies:?}");
    });
    collector.stop();
}

/// Started handshakes: several times the limits of running and waiting ones.
const HALF_OPEN: usize = 1500;

/// Starts handshakes from one socket and never finishes them, but proves its address.
struct HalfOpen {
    socket: UdpSocket,
    to: SocketAddr,
    endpoint: ProtoEndpoint,
    connections: HashMap<quinn_proto::ConnectionHandle, quinn_proto::Connection>,
    config: quinn::ClientConfig,
}

impl HalfOpen {
    fn new(config: quinn::ClientConfig) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let endpoint = ProtoEndpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
        let to = "127.0.0.1:8082".parse().unwrap();
        Self { socket, to, endpoint, connections: HashMap::new(), config }
    }

    fn begin(&mut self) {
        let now = Instant::now();
        let begun = self.endpoint.connect(now, self.config.clone(), self.to, "collector");
        let (handle, connection) = begun.unwrap();
        self.connections.insert(handle, connection);
        self.send(handle);
    }

    fn send(&mut self, handle: quinn_proto::ConnectionHandle) {
        let connection = self.connections.get_mut(&handle).unwrap();
        let mut packet = Vec::new();
        while let Some(transmit) = connection.poll_transmit(Instant::now(), 1, &mut packet) {
            let _full = self.socket.send_to(&packet[..transmit.size], self.to);
            packet.clear();
        }
    }

    /// Answers requests to prove the address, and nothing else.
    fn answer(&mut self) {
        let mut packet = [0; 2048];
        while let Ok((len, from)) = self.socket.recv_from(&mut packet) {
            // Retry: long header, type 3 (RFC 9000, section 17.2.5).
            if packet[0] & 0xf0 != 0xf0 {
                continue;
            }
            let data = BytesMut::from(&packet[..len]);
            let mut out = Vec::new();
            let event = self.endpoint.handle(Instant::now(), from, None, None, data, &mut out);
            if let Some(DatagramEvent::ConnectionEvent(handle, event)) = event {
                self.connections.get_mut(&handle).unwrap().handle_event(event);
                self.send(handle);
            }
        }
    }
}

#[tokio::test]
async fn an_agent_that_retags_with_each_connection_is_refused_and_operators_are_not() {
    if !in_namespace() {
        return;
    }
    let (site, collector) = site();
    let shown = |tags: &str| {
        let clients = http::get(HTTP, "/api/v1/clients").unwrap_or_default();
        clients.contains(&format!(r#""tags":{tags}"#))
    };
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for n in 0..16 {
        let mut client = Client::connect(&site, "agent").await;
        client.introduce(1..2).await.unwrap();
        let tags = format!("site=s{n}");
        match client.tag(&tags).await {
            Ok(counting) if counting == tags => taken.push(n),
            Ok(counting) => panic!("{n}: {counting}"),
            Err(why) => refused.push(why),
        }
        // What is refused is nowhere, and the same again costs nothing.
        let last = taken.last().unwrap();
        wait_until("the last tags that were taken", || shown(&format!(r#"{{"site":"s{last}"}}"#)));
        let same = format!("site=s{last}");
        assert_eq!(client.tag(&same).await, Ok(same));
    }
    // Twelve an hour, and the one that is over it.
    assert_eq!((taken.len(), refused.len()), (13, 3));
    let refused = &refused[0];
    assert!(
        refused.contains("limits.client.retags") && refused.contains("12 an hour"),
        "{refused}"
    );
    let limited = r#"netmon_collector_limited_total{limit="retags"}"#;
    assert!(metric(HTTP, limited) >= 1.0);
    let listed = done(site.collector(&["tag", "host-1", "site=ops"]).output().unwrap());
    assert!(listed.contains("site=ops"), "{listed}");
    wait_until("the operator's tag", || shown(r#"{"site":"ops"}"#));
    let listed = done(site.collector(&["tag", "host-1"]).output().unwrap());
    assert!(!listed.contains("s13") && !listed.contains("s15"), "{listed}");
    collector.stop();
}

#[test]
fn half_open_handshakes_cost_little_and_newcomers_get_in() {
    if !in_namespace() {
        return;
    }
    let (site, collector) = site();
    let config = credentials(&site, "agent").client_config();
    let attacker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(3));
        let mut half_open = HalfOpen::new(config);
        for n in 0..HALF_OPEN {
            half_open.begin();
            if n % 20 == 0 {
                half_open.answer();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        half_open.answer();
    });
    let grown = beside(&site, &collector, "half-open handshakes", async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // Meanwhile, a newcomer from the attacker's address.
        let begun = Instant::now();
        let mut tries = 1;
        while Client::try_connect(&site, "agent").await.is_none() {
            tries += 1;
            assert!(begun.elapsed() < PATIENCE, "no newcomer got in by {tries} tries");
        }
        println!("a newcomer got in after {:.1?}, {tries} tries", begun.elapsed());
    });
    attacker.join().unwrap();
    assert!(grown < ATTACK_MIB, "{grown} MiB more");
    assert!(metric(HTTP, r#"netmon_collector_limited_total{limit="handshakes"}"#) >= 1.0);
    collector.stop();
}
