//! Agents with a broken or hostile collector. Whatever it sends or withholds, samples are spooled and
//! delivered to the next working collector.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod made;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::connection::{Server, connect, control};
use agent::sampler::IntervalReport;
use agent::ship::delivery::DeliveryError;
use agent::ship::patience::Bounds;
use agent::talkers::TalkersReport;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::pki_types::PrivatePkcs8KeyDer;
use settings::InFull;
use testbed::in_time;
use wire::codec;
use wire::frame::Frame;
use wire::id::NicName;
use wire::message::{Ack, Committed, HostKey, Message, SeqRange, Welcome};
use wire::talkers::{Talker, TalkerKey, TalkerList, Talkers};
use wire::{Bytes, Seq};

use self::made::{Made, SESSION};

/// Time limit for something that never comes.
const SHORT: Duration = Duration::from_millis(300);

/// A collector whose behaviour each test defines.
struct Collector {
    endpoint: Endpoint,
    client: ClientConfig,
}

/// The collector's end of a connection after Hello.
struct Said {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Collector {
    /// A collector that accepts this many streams at a time.
    fn new(streams: u8) -> Self {
        Self::speaking(wire::ALPN, streams)
    }

    /// The same, by one application protocol.
    fn speaking(alpn: &[u8], streams: u8) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["collector".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (der, key) = (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls13 = &[&rustls::version::TLS13];
        let mut tls = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(tls13)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key.into())
            .unwrap();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let mut server =
            ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let transport = Arc::get_mut(&mut server.transport).unwrap();
        transport.max_concurrent_uni_streams(streams.into());
        let here: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let endpoint = Endpoint::server(server, here).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(tls13)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = [wire::ALPN, wire::ALPN_2, wire::ALPN_1].map(<[u8]>::to_vec).into();
        let client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        Self { endpoint, client }
    }

    /// Accepts a connection and reads Claim and Hello.
    async fn greeted(&self) -> Said {
        let connection = self.endpoint.accept().await.unwrap().await.unwrap();
        let (send, mut receive) = connection.accept_bi().await.unwrap();
        let claim = control::read(&mut receive, &connection).await.unwrap();
        assert!(matches!(claim, Message::Claim(_)), "{claim:?}");
        let hello = control::read(&mut receive, &connection).await.unwrap();
        assert!(matches!(hello, Message::Hello(_)), "{hello:?}");
        Said { connection, send, receive }
    }

    /// Runs one connection of the agent until it ends.
    async fn serve(&self, agent: &mut Made) -> Result<(), DeliveryError> {
        let port = self.endpoint.local_addr().unwrap().port();
        let server = Server { host: "127.0.0.1".into(), port };
        let connected = connect(&server, "collector", &self.client).await;
        let (_endpoint, connection) = connected.unwrap();
        agent.delivery.over(&connection, HostKey::default(), || {}).await
    }

    /// Works correctly: commits every frame until the agent is done. Gives the frames.
    async fn honest(&self, agent: &mut Made, last: u64) -> Vec<Frame> {
        let collect = async {
            let mut said = self.greeted().await;
            said.welcome(0).await;
            let (mut end, mut frames) = (0, Vec::new());
            while end < last {
                let mut stream = said.connection.accept_uni().await.unwrap();
                while let Some(frame) = frame(&mut stream).await {
                    assert!(frame.first_seq <= Seq(end + 1), "{} is lost", end + 1);
                    end = end.max(frame.last_seq.get());
                    frames.push(frame);
                }
                said.ack(end, end, vec![]).await;
            }
            said.connection.closed().await;
            frames
        };
        let (delivered, frames) = tokio::join!(self.serve(agent), collect);
        delivered.unwrap();
        frames
    }
}

impl Said {
    async fn say(&mut self, message: &Message) {
        let _gone = control::write(&mut self.send, &self.connection, message).await;
    }

    async fn welcome(&mut self, seq: u64) {
        let committed = vec![Committed { session: SESSION, seq: Seq(seq) }];
        let collector_version = String::new();
        self.say(&Message::Welcome(Welcome { collector_version, committed })).await;
    }

    async fn ack(&mut self, committed: u64, received: u64, missing: Vec<SeqRange>) {
        self.say(&Message::Ack(Ack {
            session: SESSION,
            committed: Seq(committed),
            received: Seq(received),
            missing,
        }))
        .await;
    }
}

async fn frame(stream: &mut RecvStream) -> Option<Frame> {
    let mut header = [0; codec::HEADER_LEN];
    stream.read_exact(&mut header).await.ok()?;
    let header = codec::decode_header(header).unwrap();
    let mut body = vec![0; header.len() as usize];
    stream.read_exact(&mut body).await.unwrap();
    match codec::decode_body(header, &body).unwrap() {
        codec::Received::Frame(frame) => Some(frame),
        other => panic!("{other:?}"),
    }
}

/// An agent with 100 measured seconds and these time limits meets a collector that runs `deed` after
/// Hello. Returns the reason for which the connection ended, and how long that took. Then everything is
/// delivered to a working collector.
fn meet<D: Future>(bounds: Bounds, deed: impl FnOnce(Said) -> D) -> (DeliveryError, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut agent = Made::begin(&dir.path().join("spool.sqlite"));
        agent.delivery.bounds = bounds;
        agent.measure(1, 100, 10);
        let hostile = Collector::new(0);
        let begun = Instant::now();
        let met = async {
            let mut deed = std::pin::pin!(async { deed(hostile.greeted().await).await });
            tokio::select! {
                ended = hostile.serve(&mut agent) => ended,
                // Whatever the collector does, the agent leaves when its patience ends.
                () = async { deed.as_mut().await; std::future::pending().await } => unreachable!(),
            }
        };
        let ended = in_time("an end", met).await;
        let took = begun.elapsed();
        agent.stop();
        agent.delivery.bounds = Bounds::default();
        let last = 100;
        in_time("the delivery", Collector::new(8).honest(&mut agent, last)).await;
        assert!(agent.delivery.is_done());
        agent.end();
        (ended.expect_err("nothing was delivered"), took)
    })
}

/// A record of talkers that no datagram takes.
fn talkers() -> Talkers {
    let talkers = |n: u8| Talker {
        key: TalkerKey { address: [n; 16], ..TalkerKey::default() },
        bytes: Bytes(u64::from(u8::MAX - n) << 32),
        ..Talker::default()
    };
    let list = TalkerList {
        total_bytes: Bytes(u64::from(u16::MAX) << 32),
        talkers: (0..64).map(talkers).collect(),
        ..TalkerList::default()
    };
    Talkers {
        nic: NicName::new("eth0").unwrap(),
        start_ns: made::START,
        interval_ns: 60 * made::SECOND,
        rx: list.clone(),
        tx: list,
        ..Talkers::default()
    }
}

/// What a collector gets of an agent that measures ten seconds, then talkers, then ten more, while
/// connected.
fn talkers_sent(alpn: &[u8]) -> Vec<Frame> {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut agent = Made::begin(&dir.path().join("spool.sqlite"));
        agent.measure(1, 10, 10);
        let record = TalkersReport { record: talkers(), ..TalkersReport::default() };
        let report = IntervalReport { talkers: vec![record], ..IntervalReport::default() };
        agent.reports().send(report).unwrap();
        agent.measure(11, 20, 10);
        agent.stop();
        let collector = Collector::speaking(alpn, 8);
        let frames = in_time("the delivery", collector.honest(&mut agent, 21)).await;
        assert!(agent.delivery.is_done());
        agent.end();
        frames
    })
}

#[test]
fn talkers_are_sent_within_the_numbers_of_the_session() {
    let frames = talkers_sent(wire::ALPN);
    let with: Vec<&Frame> = frames.iter().filter(|frame| !frame.talkers.is_empty()).collect();
    assert_eq!(with.len(), 1);
    assert_eq!((with[0].first_seq, &with[0].talkers), (Seq(12), &vec![talkers()]));
    assert!(codec::encode_frame(with[0]).unwrap().len() > agent::ship::framer::FRAME_LEN);
}

#[test]
fn an_older_collector_gets_all_numbers_and_samples_without_the_talkers() {
    let frames = talkers_sent(wire::ALPN_1);
    let numbers: Vec<u64> = frames.iter().map(|frame| frame.first_seq.get()).collect();
    assert_eq!(numbers, (1..=21).collect::<Vec<_>>());
    assert!(frames.iter().all(|frame| frame.talkers.is_empty()));
    assert_eq!(frames.iter().map(|frame| frame.samples.len()).sum::<usize>(), 20);
    assert_eq!(frames[11].samples, []);
}

#[test]
fn a_hello_that_is_never_answered_has_an_end() {
    let bounds = Bounds { answer: SHORT, ..Bounds::default() };
    let (ended, took) = meet(bounds, async |said| {
        std::future::pending::<()>().await;
        drop(said);
    });
    assert!(matches!(ended, DeliveryError::Unanswered(_)) && ended.is_late(), "{ended}");
    assert!(took >= SHORT, "{took:?}");
    assert!(ended.to_string().contains("didn't answer Hello within 300ms"), "{ended}");
}

#[test]
fn a_collector_that_commits_nothing_is_left() {
    let bounds = Bounds { commit: SHORT, ..Bounds::default() };
    let (ended, _) = meet(bounds, async |mut said| {
        said.welcome(0).await;
        std::future::pending::<()>().await;
        drop(said);
    });
    assert!(matches!(ended, DeliveryError::Stalled(_)) && ended.is_late(), "{ended}");
}

#[test]
fn a_collector_that_asks_for_what_is_missing_without_end_is_left() {
    let bounds = Bounds { commit: SHORT, ..Bounds::default() };
    let (ended, _) = meet(bounds, async |mut said| {
        said.welcome(0).await;
        loop {
            said.ack(0, 0, vec![SeqRange { first: Seq(1), last: Seq(100) }]).await;
            // Faster requests would only slow the test machine.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(matches!(ended, DeliveryError::Stalled(_)), "{ended}");
}

#[test]
fn what_a_collector_was_never_sent_is_kept_whatever_it_acknowledges() {
    let (ended, _) = meet(Bounds::default(), async |mut said| {
        said.welcome(0).await;
        // No stream was accepted, so nothing can have arrived.
        said.ack(100, 100, vec![]).await;
        said.connection.close(0u32.into(), b"thanks");
    });
    assert!(matches!(ended, DeliveryError::Control(_)), "{ended}");
}

#[test]
fn figures_that_nobody_can_mean_end_the_connection_and_nothing_else() {
    // Built by hand: an honest end refuses to encode them.
    let huge = [u64::MAX, i64::MAX as u64 + 1];
    for number in huge {
        let honest = Welcome {
            collector_version: String::new(),
            committed: vec![Committed { session: SESSION, seq: Seq(0x1122_3344_5566_7788) }],
        };
        let mut bytes = codec::encode_message(&Message::Welcome(honest)).unwrap();
        let mark = 0x1122_3344_5566_7788_u64.to_le_bytes();
        let at = bytes.windows(8).position(|it| it == mark).unwrap();
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let (ended, _) = meet(Bounds::default(), async |mut said| {
            said.send.write_all(&bytes).await.unwrap();
            let _gone = said.receive.read_to_end(1 << 20).await;
        });
        let told = ended.in_full().to_string();
        assert!(told.contains(&number.to_string()), "{told}");
    }
}

#[test]
fn a_message_longer_than_any_is_not_waited_for() {
    let (ended, _) = meet(Bounds::default(), async |mut said| {
        let message = codec::encode_message(&Message::Welcome(Welcome::default())).unwrap();
        let mut header = message[..codec::HEADER_LEN].to_vec();
        header[8..12].copy_from_slice(&codec::LEN_MAX.to_le_bytes());
        said.send.write_all(&header).await.unwrap();
        std::future::pending::<()>().await;
    });
    assert!(ended.to_string().contains("1048576 bytes"), "{ended}");
}

#[test]
fn a_panic_in_delivery_ends_the_connection_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut agent = Made::begin(&dir.path().join("spool.sqlite"));
        agent.measure(1, 50, 10);
        let collector = Collector::new(8);
        let port = collector.endpoint.local_addr().unwrap().port();
        let server = Server { host: "127.0.0.1".into(), port };
        let welcome = async {
            let mut said = collector.greeted().await;
            said.welcome(0).await;
            said
        };
        let panics = || panic!("a simulated bug");
        let over = async {
            let connected = connect(&server, "collector", &collector.client).await;
            let (_endpoint, connection) = connected.unwrap();
            agent.delivery.over(&connection, HostKey::default(), panics).await
        };
        let (ended, _said) = tokio::join!(over, welcome);
        assert!(matches!(ended, Err(DeliveryError::Panicked)), "{ended:?}");
        // Counting and spooling continued, and delivery works again.
        agent.measure(51, 100, 10);
        agent.stop();
        in_time("the delivery", collector.honest(&mut agent, 100)).await;
        assert!(agent.delivery.is_done());
        agent.end();
    });
}
