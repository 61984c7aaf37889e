//! The effect of a token: for which client, how often, and at which collectors.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use agent::identity::Asked;
use async_trait::async_trait;
use collector::identity::{
    Cas, ClientIds, EnrollError, EnrolmentStore, Identity, NewToken, TokenUse, TokenUses, UsesError,
};
use quinn::Endpoint;
use rustls::pki_types::UnixTime;
use settings::InFull;
use wire::certificate::{COLLECTOR_NAME, Fingerprint};
use wire::codec::{self, HEADER_LEN, Received};
use wire::id::ClientId;
use wire::message::{EnrollRequest, Message};
use wire::pem;

use crate::support::*;

/// Another collector with a copy of the first one's identity.
fn copy(dir: &Path) -> (Arc<Identity>, tempfile::TempDir) {
    let other = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([dir.join("identity"), other.path().join("identity")])
        .status();
    assert!(copied.unwrap().success());
    (Arc::new(open(other.path())), other)
}

#[tokio::test]
async fn collectors_that_share_a_store_take_a_token_once_between_them() {
    let dir = tempfile::tempdir().unwrap();
    let (first, shared) = (Arc::new(open(dir.path())), Uses::new());
    let token = first.new_token(new_token(None), UnixTime::now()).unwrap();
    let (second, _other) = copy(dir.path());
    ask(&first, &request(&token, "web-1").0, &shared).await.unwrap();
    let again = ask(&second, &request(&token, "web-2").0, &shared).await;
    assert!(matches!(again, Err(EnrollError::UnknownToken)), "{again:?}");
    // Without the store they can't know.
    ask(&second, &request(&token, "web-2").0, &Uses::new()).await.unwrap();
}

#[tokio::test]
async fn an_id_that_a_client_of_the_store_has_is_given_to_another_host_only_in_its_place() {
    let (first, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, shared) = (Arc::new(open(first.path())), Uses::new());
    // Collectors with one store and separate CAs; the second one's files list no client.
    let second = Arc::new(open(other.path()));
    let token = |identity: &Identity, new| identity.new_token(new, UnixTime::now()).unwrap();
    let at_first = token(&first, new_token(None));
    ask(&first, &request(&at_first, "web-1").0, &shared).await.unwrap();
    let at_second = token(&second, new_token(None));
    let refused = ask(&second, &request(&at_second, "web-1").0, &shared).await;
    assert!(matches!(refused, Err(EnrollError::ClientExists(_))), "{refused:?}");
    // A refusal leaves token and ids unchanged.
    ask(&second, &request(&at_second, "web-2").0, &shared).await.unwrap();
    assert!(!second.records().knows(&client("web-1")).unwrap());
    // The same for a host that is set up again after the collector's own files were lost.
    let replacing = token(&second, replacing("web-1"));
    ask(&second, &request(&replacing, "web-1").0, &shared).await.unwrap();
    let (_, revocation) = &second.revocations()[0];
    assert!(revocation.replaced && revocation.generation > 0, "the first host's certificate ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_collectors_that_race_for_a_token_exactly_as_many_win_as_it_has_uses() {
    let dir = tempfile::tempdir().unwrap();
    let (first, shared) = (Arc::new(open(dir.path())), Uses::new());
    let runtime = tokio::runtime::Handle::current();
    for round in 0..5 {
        let new = NewToken { uses: 2, ..new_token(None) };
        let token = first.new_token(new, UnixTime::now()).unwrap();
        let copies: Vec<_> = (0..4).map(|_| copy(dir.path())).collect();
        let barrier = Arc::new(Barrier::new(copies.len()));
        let racers: Vec<_> = copies
            .iter()
            .enumerate()
            .map(|(racer, (identity, _))| {
                let (identity, barrier) = (identity.clone(), barrier.clone());
                let (shared, runtime) = (shared.clone(), runtime.clone());
                let (request, _) = request(&token, &format!("racer-{round}-{racer}"));
                std::thread::spawn(move || {
                    barrier.wait();
                    runtime.block_on(ask(&identity, &request, &shared)).is_ok()
                })
            })
            .collect();
        let won = racers.into_iter().map(|it| it.join().unwrap());
        assert_eq!(won.filter(|&won| won).count(), 2);
    }
}

#[tokio::test]
async fn a_token_for_many_hosts_is_good_for_so_many_new_clients() {
    let (collector, _dir) = own_ca();
    let new = NewToken { uses: 3, matching: Some("web-*".parse().unwrap()), ..new_token(None) };
    let token = collector.identity.new_token(new, UnixTime::now()).unwrap();
    let enrol =
        async |id: &str| ask(&collector.identity, &request(&token, id).0, &collector.store).await;
    enrol("web-1").await.unwrap();
    let refused = enrol("db-1").await.unwrap_err();
    assert!(matches!(refused, EnrollError::NoMatch { .. }));
    assert!(refused.to_string().contains("clients web-*, not for db-1"), "{refused}");
    assert!(matches!(enrol("web-1").await, Err(EnrollError::ClientExists(_))));
    enrol("WEB-2").await.unwrap();
    let open = || collector.identity.open_tokens(UnixTime::now()).unwrap().tokens;
    let [token_left] = &open()[..] else { panic!() };
    assert_eq!((token_left.used, token_left.uses), (2, 3), "refusals took none");
    enrol("web-3").await.unwrap();
    assert!(matches!(enrol("web-4").await, Err(EnrollError::UnknownToken)));
    assert!(open().is_empty());
}

#[tokio::test]
async fn a_token_for_an_id_gives_it_to_a_host_that_has_not_chosen_another() {
    let (collector, _dir) = own_ca();
    let token = |id| collector.identity.new_token(new_token(Some(id)), UnixTime::now()).unwrap();
    for (id, name) in [("db-1", Some(client("debian"))), ("db-2", None)] {
        let host = tempfile::tempdir().unwrap();
        let enrolled = collector.enroll_as(&token(id), &Asked::HostName(name), host.path()).await;
        assert_eq!(enrolled.unwrap().credentials.client(), &client(id));
    }
    // A token for any client keeps the host's name.
    let host = tempfile::tempdir().unwrap();
    let asked = Asked::HostName(Some(client("debian")));
    let enrolled = collector.enroll_as(&collector.token(), &asked, host.path()).await;
    assert_eq!(enrolled.unwrap().credentials.client(), &client("debian"));
    let nameless = Asked::HostName(None);
    let refused = collector.enroll_as(&collector.token(), &nameless, host.path()).await;
    assert!(refused.unwrap_err().in_full().to_string().contains("--id NAME"));
}

#[tokio::test]
async fn what_an_older_agent_asks_for_is_understood_as_chosen_and_answered_with_one_ca() {
    let (collector, dir) = own_ca();
    Identity::roll_ca(&dir.path().join("identity"), UnixTime::now()).unwrap();
    assert!(collector.identity.files_changed());
    let server = collector.identity.server_config(UnixTime::now()).unwrap();
    collector.endpoint.set_server_config(Some(server));
    let token = collector.identity.new_token(new_token(Some("db-1")), UnixTime::now()).unwrap();
    for (id, given) in [("web-1", false), ("db-1", true)] {
        let (sound, _) = request(&token, id);
        let (secret, client_id, csr_der) = (sound.secret, sound.client_id, sound.csr_der);
        let old = Message::EnrollRequest(EnrollRequest { secret, client_id, csr_der });
        let ca = dir.path().join("identity/ca.pem");
        let config = quic_client(tls_client(&ca, None, wire::ALPN_ENROLL));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = endpoint.connect_with(config, collector.address, COLLECTOR_NAME);
        let connection = connecting.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&codec::encode_message(&old).unwrap()).await.unwrap();
        let mut header = [0; HEADER_LEN];
        receive.read_exact(&mut header).await.unwrap();
        let header = codec::decode_header(header).unwrap();
        let mut body = vec![0; header.len() as usize];
        receive.read_exact(&mut body).await.unwrap();
        let answer = codec::decode_body(header, &body).unwrap();
        let Received::Message(Message::EnrollReply(reply)) = &answer else {
            assert!(!given, "{answer:?}");
            continue;
        };
        // An older agent refuses an answer with a CA that isn't its token's.
        let cas = pem::certificates(reply.ca_pem.as_bytes(), &ca).unwrap();
        assert!(given && cas.iter().all(|it| Fingerprint::of(it) == token.ca), "{answer:?}");
    }
}

#[tokio::test]
async fn a_cancelled_token_is_refused() {
    let (collector, _dir) = own_ca();
    let token = collector.token();
    assert!(collector.identity.cancel_token(&token.secret.digest()).unwrap());
    assert!(!collector.identity.cancel_token(&token.secret.digest()).unwrap());
    let refused = ask(&collector.identity, &request(&token, "web-1").0, &collector.store).await;
    assert!(refused.unwrap_err().in_full().to_string().contains("cancelled"));
}

/// A store that is unavailable, or where somebody else takes uses first.
#[derive(Debug)]
struct Troubled {
    uses: Option<Uses>,
    faster: Option<(Arc<Identity>, wire::token::Token)>,
}

#[async_trait]
impl TokenUses for Troubled {
    async fn take(&self, of: &TokenUse) -> Result<bool, UsesError> {
        let Some(uses) = &self.uses else { return Err("the database is away".into()) };
        if let Some((identity, token)) = &self.faster {
            ask(identity, &request(token, "web-1").0, uses).await.unwrap();
        }
        uses.0.take(of).await
    }

    async fn give_back(&self, token: &str) -> Result<(), UsesError> {
        self.uses.as_ref().unwrap().0.give_back(token).await
    }

    async fn use_up(&self, of: &TokenUse) -> Result<(), UsesError> {
        self.uses.as_ref().unwrap().0.use_up(of).await
    }

    async fn used(&self) -> Result<Vec<(String, u32)>, UsesError> {
        self.uses.as_ref().unwrap().0.used().await
    }
}

#[async_trait]
impl ClientIds for Troubled {
    async fn take_id(&self, client: &ClientId, now: UnixTime) -> Result<bool, UsesError> {
        self.uses.as_ref().unwrap().0.take_id(client, now).await
    }

    async fn give_back_id(&self, client: &ClientId) -> Result<(), UsesError> {
        self.uses.as_ref().unwrap().0.give_back_id(client).await
    }

    async fn has_id(&self, client: &ClientId) -> Result<bool, UsesError> {
        self.uses.as_ref().unwrap().0.has_id(client).await
    }
}

async fn ask_in_trouble(
    collector: &Collector,
    token: &wire::token::Token,
    trouble: Troubled,
) -> Result<(), EnrollError> {
    let trouble: Arc<dyn EnrolmentStore> = Arc::new(trouble);
    let (request, _) = request(token, "web-1");
    let enrolled =
        collector.identity.enroll(request, Cas::Trusted, LOCALHOST, &trouble, UnixTime::now());
    enrolled.await.map(drop)
}

#[tokio::test]
async fn while_uses_can_not_be_counted_nobody_enrols_and_the_token_stays_good() {
    let (collector, _dir) = own_ca();
    let token = collector.token();
    let away = Troubled { uses: None, faster: None };
    let refused = ask_in_trouble(&collector, &token, away).await.unwrap_err();
    assert!(matches!(refused, EnrollError::Uncounted));
    assert!(refused.to_string().contains("try the same token again"), "{refused}");
    ask(&collector.identity, &request(&token, "web-1").0, &collector.store).await.unwrap();
}

#[tokio::test]
async fn a_use_that_came_to_nothing_is_given_back() {
    let (collector, _dir) = own_ca();
    let (token, other) = (collector.token(), collector.token());
    let faster = Some((collector.identity.clone(), other));
    let trouble = Troubled { uses: Some(collector.store.clone()), faster };
    let refused = ask_in_trouble(&collector, &token, trouble).await;
    assert!(matches!(refused, Err(EnrollError::ClientExists(_))), "{refused:?}");
    ask(&collector.identity, &request(&token, "web-2").0, &collector.store).await.unwrap();
}

#[tokio::test]
async fn open_tokens_are_listed_without_their_secrets_and_expired_ones_are_not() {
    let (collector, dir) = own_ca();
    let by = Some("alice".to_owned());
    let new = NewToken { by, uses: 7, ..new_token(None) };
    let token = collector.identity.new_token(new, UnixTime::now()).unwrap();
    collector.identity.new_token(new_token(None), ago(7200)).unwrap();
    // Written by an older collector.
    let old = dir.path().join("identity/tokens").join("0".repeat(64));
    wire::private_file::write(&old, br#"{"expires_at":9999999999,"client":"web-1"}"#).unwrap();
    let open = collector.identity.open_tokens(UnixTime::now()).unwrap().tokens;
    let [mine, older] = &open[..] else { panic!("{open:?}") };
    assert_eq!((mine.made_by.as_deref(), mine.uses, mine.used), (Some("alice"), 7, 0));
    assert_eq!(mine.digest, token.secret.digest());
    let life = mine.expires_at - mine.made_at.unwrap();
    assert_eq!(Duration::from_secs(life), Duration::from_secs(3600));
    assert_eq!((older.client.as_deref(), older.uses, older.made_at), (Some("web-1"), 1, None));
}

#[tokio::test]
async fn a_token_that_can_not_be_read_is_told_and_hinders_no_other() {
    let (collector, dir) = own_ca();
    let damaged = "0".repeat(64);
    let path = dir.path().join("identity/tokens").join(&damaged);
    wire::private_file::write(&path, br#"{"expires_at":99"#).unwrap();
    let token = collector.token();
    let open = collector.identity.open_tokens(UnixTime::now()).unwrap();
    assert_eq!(open.tokens[0].digest, token.secret.digest());
    let [told] = &open.damaged[..] else { panic!("{open:?}") };
    assert!(told.contains(&damaged) && told.contains("remove it"), "{told}");
    ask(&collector.identity, &request(&token, "web-1").0, &collector.store).await.unwrap();
}
