//! Everything that anybody who reaches the port may send: requests, parameters, headers, cookies,
//! bodies. They go through a socket to the server, which has a real store.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use collector::accounts::AccountBook;
use collector::alerts::AlertRules;
use collector::live::Live;
use collector::metrics::Metrics;
use collector::store::dates::Dates;
use collector::store::sqlite::SqliteStore;
use collector::time::boot;
use collector::web::{Access, AlertInbox, SignedOut, StoredTalkers, WebLimits, WebState, serve};
use tokio::sync::watch;
use wire::WallNs;
use wire::id::ClientId;
use wire::message::Host;

use super::support::{KIB, MIB, directory};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "http",
    about: "requests to the collector's HTTP port: path, parameters, headers, cookies, body",
    input_max: 20 * KIB,
    // Memory of the server's buffers, a compressor and an answer.
    memory_max: 8 * MIB,
    run,
};

/// The access token; half of the inputs carry it.
const TOKEN: &str = "correct-horse-battery";

/// How long the server may wait before this end closes its sending side.
const PATIENCE: Duration = Duration::from_millis(30);

fn run(input: &[u8]) {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    let address = SERVER.get_or_init(start);
    let known = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
    for given in ["", &known] {
        // Behind the request's first line.
        let line = input.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let close = b"Connection: close\r\n";
        let request = [&input[..line], close, given.as_bytes(), &input[line..]].concat();
        check(&ask(*address, &request), !given.is_empty());
    }
}

/// Starts the server, which runs until the process ends.
fn start() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(SqliteStore::open(&directory().join("netmon.sqlite")).unwrap());
            let live = Live::new();
            let client = ClientId::new("web-1").unwrap();
            live.on_connected(&client, "Käse", &Host::default(), WallNs(1_800_000_000_000_000_000));
            let dates = Dates::awaited();
            dates.set(WallNs(1_800_000_000_000_000_000), boot(), Duration::ZERO);
            let state = WebState {
                live,
                query: store.clone(),
                talkers: StoredTalkers::new(store.clone(), false),
                alerts: AlertInbox { store: store.clone(), rules: Arc::new(AlertRules::default) },
                book: AccountBook::new(store, vec![]),
                dates,
                writer: Arc::new(|| None),
                notice: Arc::new(|| None),
                metrics: Metrics::with_recorder().unwrap().1,
                version: "1.2.3".into(),
                host_names: vec!["netmon.example".into()],
                access: Access::default().with_token(TOKEN),
                tls: None,
                signed_out: SignedOut::default(),
                // All requests come from one address.
                limits: WebLimits { failed_sign_ins: u32::MAX, ..WebLimits::default() },
            };
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (_stop, stopped) = watch::channel(false);
            serve(listener, state, stopped).await.unwrap();
        });
    });
    address
}

/// Sends a request in one piece, nothing more, and returns the answers.
fn ask(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may refuse it before all is sent.
    let _refused = stream.write_all(request);
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(len @ 1..) => answer.extend_from_slice(&piece[..len]),
            // The server waits for a rest that never comes.
            Err(error) if error.kind() == ErrorKind::WouldBlock && answer.is_empty() => {
                let _gone = stream.shutdown(Shutdown::Write);
                stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            }
            _ => return answer,
        }
        // Live updates never end: the first one is enough.
        if answer.len() > 512 << 10 || has(&answer, b"text/event-stream") {
            return answer;
        }
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn check(answer: &[u8], may_see: bool) {
    if answer.is_empty() {
        return;
    }
    assert!(answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(answer));
    let status = answer.get(9..12).unwrap();
    assert_ne!(status, b"500", "{}", String::from_utf8_lossy(answer));
    if !may_see {
        // Neither the page nor any public path names a client.
        assert!(!has(answer, b"web-1\""), "{}", String::from_utf8_lossy(answer));
        assert!(!has(answer, TOKEN.as_bytes()));
    }
    // No part of a request becomes a header of an answer.
    assert!(!has(answer, b"\r\nx-injected:"), "{}", String::from_utf8_lossy(answer));
}
