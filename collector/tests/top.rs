//! `collector top` on its own terminal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "web/client.rs"]
#[allow(dead_code, reason = "the API tests use all of it")]
mod client;
#[path = "browser/site.rs"]
#[allow(dead_code, reason = "the dashboard tests use all of it")]
mod site;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use collector::web::Access;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use testbed::{Pair, Terminal, in_namespace, pictures, wait_for};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wire::id::ClientId;
use wire::tag::TagSet;

use crate::site::{Site, company};

/// The program without any config or variables.
fn top(args: &[&str]) -> Command {
    let mut top = Command::new(env!("CARGO_BIN_EXE_collector"));
    top.args(["-c", "/dev/null", "top"]).args(args);
    top
}

#[test]
fn a_real_client_is_shown_and_a_collector_that_comes_back_is_found_again() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), testbed::Site::new());
    let terminal = Terminal::start(&top(&[]), 120, 30);
    terminal.wait_for("Trying http://127.0.0.1:8083 again: can't connect: Connection refused");
    terminal.wait_for("does `collector run` run there?");
    let collector = site.start_collector();
    terminal.wait_for("No client to show.");
    site.enroll();
    let agent = site.start_agent();
    terminal.wait_for("1 of 1 clients connected");
    let mut traffic = pair.there_spawn(
        "while :; do head -c 50000 /dev/zero > /dev/udp/10.9.0.1/9; sleep 0.02; done 2> /dev/null",
    );
    let row = |screen: &str, name: &str| {
        let row = screen.lines().find(|line| line.trim_start().starts_with(name));
        row.map(str::to_owned).unwrap_or_default()
    };
    terminal.wait_until("the client's rate", |screen| {
        let row = row(screen, "host-1");
        row.contains("Mbit/s") && row.contains("live")
    });
    terminal.press(&["Enter"]);
    terminal.wait_until("the NIC's rate", |screen| row(screen, "here").contains("Mbit/s"));
    terminal.press(&["Down"]);
    terminal.wait_for("host-1 here: veth");
    let before = terminal.screen();
    terminal.wait_until("another rate", |screen| row(screen, "here") != row(&before, "here"));
    collector.kill();
    terminal.wait_for("Trying http://127.0.0.1:8083 again");
    terminal.wait_for("stale");
    let collector = site.start_collector();
    terminal.wait_until("the NIC's rate again", |screen| {
        screen.contains("live") && row(screen, "here").contains("Mbit/s")
    });
    traffic.kill().unwrap();
    let _reaped = traffic.wait();
    agent.stop();
    terminal.wait_until("a client that left", |screen| row(screen, "host-1").contains("down "));
    terminal.press(&["q"]);
    terminal.wait_for("ended with 0");
    collector.stop();
}

/// Terminates TLS before a site, as a reverse proxy does. Returns its port and the certificate of the
/// authority that issued its certificate for `localhost`.
async fn proxy(site: String) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, site) = (acceptor.clone(), site.clone());
            tokio::spawn(async move {
                let mut there = TcpStream::connect(site).await.unwrap();
                if let Ok(mut here) = acceptor.accept(stream).await {
                    let _ended = copy_bidirectional(&mut here, &mut there).await;
                }
            });
        }
    });
    (port, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tls_only_a_collector_that_a_known_authority_vouches_for_is_believed() {
    let site = Site::start(Access::default()).await;
    let _traffic = company(&site);
    let (port, authority) = proxy(site.address.clone()).await;
    let looked = tokio::task::spawn_blocking(move || {
        let url = format!("https://localhost:{port}");
        let unknown = Terminal::start(&top(&["--url", &url]), 120, 20);
        unknown.wait_for("invalid peer certificate");
        let file = site.directory.path().join("authority.pem");
        std::fs::write(&file, authority).unwrap();
        let mut top = top(&["--url", &url]);
        let terminal = Terminal::start(top.env("SSL_CERT_FILE", file), 120, 20);
        terminal.wait_for("12 of 12 clients connected");
    });
    looked.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_are_looked_through_with_the_keyboard_and_a_token() {
    let site = Site::start(Access::default().with_token("0123456789abcdef")).await;
    let _traffic = company(&site);
    for (client, tags) in [("db-1", "role=db site=ams"), ("db-2", "role=db site=fra")] {
        let tags = tags.split(' ').map(|it| it.parse().unwrap());
        site.live.on_agent_tags(&ClientId::new(client).unwrap(), &TagSet::new(tags).unwrap());
    }
    let looked = tokio::task::spawn_blocking(move || {
        let url = format!("http://{}", site.address);
        let refused = Terminal::start(&top(&["--url", &url]), 120, 30);
        refused.wait_for("it requires a token; name the file that holds it by --token-file");
        let token = site.directory.path().join("token");
        std::fs::write(&token, "0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        let token = token.display().to_string();
        let terminal = Terminal::start(&top(&["--url", &url, "--token-file", &token]), 120, 34);
        terminal.wait_for("12 of 12 clients connected");
        let first = |screen: &str| screen.lines().nth(3).unwrap_or_default().to_owned();
        terminal.wait_until("the busiest first", |screen| first(screen).starts_with("cache-1"));
        terminal.press(&["Enter"]);
        terminal.wait_for("  eth1");
        if pictures().is_some() {
            wait_for("charts", Duration::from_secs(90), || {
                terminal.screen().matches('█').count() > 600
            });
        }
        terminal.picture("collector-top");
        terminal.press(&["Enter", "s", "r"]);
        terminal.wait_until("the least first", |screen| {
            screen.contains("tx bit/s ▴") && first(screen).starts_with("dns-2")
        });
        terminal.press(&["/", "o", "r", "d", "e", "r", "s", "Enter"]);
        terminal.wait_until("two databases", |screen| {
            screen.contains("db-1") && screen.contains("db-2") && !screen.contains("dns-1")
        });
        terminal.resize(60, 16);
        terminal.wait_until("a small screen", |screen| {
            screen.contains("db-1") && screen.lines().all(|line| line.chars().count() <= 60)
        });
        terminal.press(&["C-c"]);
        terminal.wait_for("ended with 0");
        let groups = ["--tag", "role=db", "--group-by", "site"];
        let args = [&["--url", &url, "--token-file", &token], &groups[..]].concat();
        let terminal = Terminal::start(&top(&args), 120, 30);
        terminal.wait_for("2 of 2 clients connected");
        terminal.wait_until("two groups", |screen| {
            ["ams (1 of 1 up)", "fra (1 of 1 up)", "only clients with role=db"]
                .iter()
                .all(|text| screen.contains(text))
        });
    });
    looked.await.unwrap();
}
