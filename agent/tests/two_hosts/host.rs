//! A host that the test plays, and what is asked of it.

use std::time::Duration;

use agent::connection::{Server, connect, control};
use agent::identity::Credentials;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::UnixTime;
use testbed::http::HTTP;
use testbed::{SLACK, Site, done, metric, wait_until};
use tokio::runtime::Runtime;
use wire::WallNs;
use wire::id::SessionId;
use wire::message::{Claim, Hello, HostKey, Message, Session};

/// A connected agent built by the test.
pub struct Host {
    _endpoint: Endpoint,
    pub connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Host {
    /// Connects with the certificate of the site's agent.
    pub async fn connect(site: &Site) -> Self {
        Self::connect_to(site, 8082).await
    }

    /// Connects to the collector on a port.
    pub async fn connect_to(site: &Site, port: u16) -> Self {
        let dir = site.dir().join("agent/identity");
        let credentials = Credentials::load(&dir, None, UnixTime::now()).unwrap();
        let server = Server { host: "127.0.0.1".into(), port };
        let name = credentials.server_name(&server.host);
        let connected = connect(&server, name, &credentials.client_config()).await;
        let (endpoint, connection) = connected.unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        Self { _endpoint: endpoint, connection, send, receive }
    }

    /// Sends Claim and Hello, and returns the collector's answer.
    pub async fn introduce(&mut self, claim: Option<Claim>, session: u64) -> Message {
        let hello = Hello {
            sessions: vec![Session { session: SessionId::new(session), started_ns: WallNs(1) }],
            ..Hello::default()
        };
        let said = claim.map(Message::Claim).into_iter().chain([Message::Hello(hello)]);
        for message in said {
            control::write(&mut self.send, &self.connection, &message).await.unwrap();
        }
        let answer = control::read(&mut self.receive, &self.connection).await.unwrap();
        match answer {
            // Only agents that sent a claim receive digests.
            Message::Digests(_) if claim.is_some() => {
                control::read(&mut self.receive, &self.connection).await.unwrap()
            }
            answer => answer,
        }
    }

    pub async fn leave(self) {
        self.connection.close(0u32.into(), b"finished");
        self._endpoint.wait_idle().await;
    }
}

pub const fn claim(machine: u8, boot: u8, session: u64) -> Claim {
    Claim {
        host: HostKey { machine: [machine; 16], boot: [boot; 16] },
        session: SessionId::new(session),
    }
}

pub fn refusals() -> f64 {
    refusals_at(HTTP)
}

pub fn refusals_at(http: &str) -> f64 {
    metric(http, r#"netmon_collector_rejects_total{reason="second_host"}"#)
}

/// A host that is asked answers so soon, on a busy machine too.
pub const ASKED: Duration = Duration::from_secs(3).saturating_add(SLACK);

/// Less than the second for which a host is asked whether it is alive. A machine that others keep busy
/// may need longer for a handshake now and then: of several tries one must be as quick.
pub const AT_ONCE: Duration = Duration::from_millis(900);

/// What comes sooner than by QUIC's idle timeout of 30 s, on a busy machine too.
pub async fn sooner_than_idle<T>(future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(8) + SLACK, future).await;
    ended.expect("sooner than by QUIC's idle timeout")
}

pub async fn welcome(host: &mut Host, claim: Claim) {
    let answer = sooner_than_idle(host.introduce(Some(claim), claim.session.get())).await;
    assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

pub fn refusal(answer: Message) -> String {
    match answer {
        Message::Refused(refused) => refused.reason,
        other => panic!("{other:?}"),
    }
}

/// Waits until `collector clients` says all of this. The store hears of a refusal after the host does.
pub fn wait_for_listed(site: &Site, said: &[&str]) {
    let all = || {
        let listed = done(site.collector(&["clients"]).output().unwrap());
        said.iter().all(|it| listed.contains(it))
    };
    wait_until(&format!("{said:?} in `collector clients`"), all);
}
