//! Faults of operators and servers. None loses or doubles a row; the reason names the cause and the
//! remedy; and everything resumes by itself once the cause is gone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use collector::accounts::AccountBook;
use collector::alerts::AlertRules;
use collector::live::Live;
use collector::metrics::Metrics;
use collector::run::Health;
use collector::store::dates::Dates;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::{Check, Commit, Query, Store};
use collector::web::{Access, AlertInbox, SignedOut, StoredTalkers, WebLimits, WebState, serve};
use collector::writer::{
    BatchLimits, ClientShare, Heed, OpenSession, Progress, StoreState, Surroundings, Writer,
    WriterHandle,
};
use settings::InFull;
use testbed::{PATIENCE, in_time, until};
use tokio::net::TcpListener;
use tokio::sync::watch;
use wire::frame::Sample;
use wire::id::SessionId;
use wire::{Seq, WallNs};

use crate::batches::{Agent, SECOND, START, client, hello, sample};
use crate::cluster;
use crate::postgres::{Postgres, config, fresh};
use crate::suite::Place;

/// A collector's writer with one session that has committed one frame.
pub struct Working {
    pub place: Postgres,
    store: Arc<PostgresStore>,
    writer: WriterHandle,
    state: watch::Receiver<StoreState>,
    progress: watch::Receiver<Progress>,
    agent: Agent,
    rows: u64,
    _writer: Writer,
}

impl Working {
    pub async fn start(place: Postgres) -> Self {
        let store = Arc::new(PostgresStore::new(place.config.clone()));
        let states =
            store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
        let limits = BatchLimits {
            max_rows: 1000,
            max_delay: Duration::from_millis(5),
            ..BatchLimits::DEFAULT
        };
        let running = Writer::start(store.clone(), limits, 1 << 20, Surroundings::default());
        let writer = running.handle();
        let epoch = states[0].epoch;
        let open = OpenSession {
            client: client("web"),
            session: SessionId::new(1),
            epoch,
            committed: Seq(0),
        };
        let (state, progress) = (writer.changes(), writer.open(open, Heed::all()));
        let agent = Agent::new("web", 1, epoch.0);
        let mut working =
            Self { place, store, writer, state, progress, agent, rows: 0, _writer: running };
        working.deliver(1);
        working.catch_up().await;
        working
    }

    /// Serves HTTP as the collector does; returns the address.
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let health = Health::watch(self.store.clone(), self.writer.clone());
        let state = WebState {
            live: Live::new(),
            query: self.store.clone(),
            talkers: StoredTalkers::new(self.store.clone(), false),
            alerts: AlertInbox { store: self.store.clone(), rules: Arc::new(AlertRules::default) },
            book: AccountBook::new(self.store.clone(), vec![]),
            dates: Dates::default(),
            writer: Arc::new(move || health.state()),
            notice: Arc::new(|| None),
            metrics: Metrics::with_recorder().unwrap().1,
            version: String::new(),
            host_names: Vec::new(),
            access: Access::default(),
            tls: None,
            signed_out: SignedOut::default(),
            limits: WebLimits::default(),
        };
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            serve(listener, state, stopped).await
        });
        address
    }

    /// Delivers a frame if the writer has memory for it.
    pub fn deliver(&mut self, samples: u64) -> bool {
        let start = |n| START + (self.rows + n) * SECOND;
        let samples: Vec<Sample> = (0..samples).map(|n| sample("eth0", start(n), n)).collect();
        let rows = samples.len() as u64;
        let before = self.agent.clone();
        let frame = self.agent.frame(samples);
        let Some(reservation) = self.writer.try_reserve(&frame, &ClientShare::new(1 << 30)) else {
            self.agent = before;
            return false;
        };
        self.rows += rows;
        self.writer.submit(self.agent.epoch, frame, reservation);
        true
    }

    /// Waits until everything is committed.
    pub async fn catch_up(&mut self) {
        let seq = self.agent.seq;
        let caught_up = self.progress.wait_for(|progress| progress.committed == Seq(seq));
        let caught_up = tokio::time::timeout(PATIENCE, caught_up).await;
        let state = self.state.borrow().clone();
        assert!(caught_up.is_ok(), "not committed within {PATIENCE:?}: {state:?}");
    }

    /// Waits until the writer can't commit, for a reason that contains these words.
    pub async fn fails(&mut self, words: &[&str]) {
        let named = |state: &StoreState| {
            state.as_ref().is_some_and(|reason| words.iter().all(|word| reason.contains(word)))
        };
        let failed = tokio::time::timeout(PATIENCE, self.state.wait_for(named));
        let failed = failed.await.is_ok();
        assert!(failed, "{words:?} expected: {:?}", *self.state.borrow());
        let reason = self.state.borrow().clone().unwrap();
        assert!(!reason.contains('\n') && reason.contains("postgresql://"), "{reason}");
    }

    /// Checks that every row is stored once and that the writer reports no trouble.
    pub async fn is_healed(&mut self) {
        self.catch_up().await;
        assert_eq!(*self.state.borrow(), None);
        let rows = i64::try_from(self.rows).unwrap();
        assert_eq!(self.place.numbers("SELECT count(*) FROM bandwidth_stats").await, [rows]);
        let report = self.store.check().await.unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        self.store.ready().await.unwrap();
    }

    /// Breaks something with SQL, waits for a failure whose reason contains these words, repairs it
    /// with SQL, and waits until it heals.
    async fn breaks(mut self, sql: &str, words: &[&str], mend: &str) {
        self.place.execute(sql).await;
        self.place.execute(CUT).await;
        assert!(self.deliver(2) && self.deliver(3));
        self.fails(words).await;
        let committed = self.place.numbers("SELECT committed_seq FROM sessions").await;
        assert_eq!(
            (committed, self.progress.borrow().committed),
            (vec![1], Seq(1)),
            "nothing is acknowledged"
        );
        self.place.execute(mend).await;
        self.is_healed().await;
    }
}

/// Ends the store's connections, because settings apply to new ones.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'netmon-collector'";

fn name(place: &Postgres) -> &str {
    place.url.rsplit('=').next().unwrap()
}

/// A database of a role that has all rights in it, no others, and needs a password.
async fn owned_by_a_role(role: &str) -> Postgres {
    let place = fresh().await;
    let database = name(&place);
    place.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'first'")).await;
    place.execute(&format!("ALTER DATABASE {database} OWNER TO {role}")).await;
    let client = cluster::client(&place.url).await;
    let row = client.query_one("SHOW hba_file", &[]).await.unwrap();
    let path: String = row.get(0);
    let rules = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("local all {role} scram-sha-256\n{rules}")).unwrap();
    place.execute("SELECT pg_reload_conf()").await;
    let url = place.url.replace("user=postgres", &format!("user={role} password=first"));
    let wrong = url.replace("password=first", "password=wrong");
    until("a server that asks for a password", async || {
        tokio_postgres::connect(&wrong, tokio_postgres::NoTls).await.is_err()
    })
    .await;
    let config = config(&url, Authorities::System);
    Postgres { config, ..place }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_changes() {
    let place = fresh().await;
    let name = name(&place).to_owned();
    let mut working = Working::start(place).await;
    let admin = cluster::client(&working.place.url.replace(&name, "postgres")).await;
    let cut = CUT.replace("current_database()", &format!("'{name}'"));
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    admin.batch_execute(&read_only).await.unwrap();
    admin.batch_execute(&cut).await.unwrap();
    assert!(working.deliver(2) && working.deliver(3));
    let words = ["SQLSTATE 25006", "connect to the primary"];
    working.fails(&words).await;
    let reason = working.store.ready().await.unwrap_err().in_full().to_string();
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    admin.batch_execute(&reset).await.unwrap();
    admin.batch_execute(&cut).await.unwrap();
    working.is_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lets_nobody_in_and_memory_that_is_bounded_meanwhile() {
    let place = fresh().await;
    let name = name(&place).to_owned();
    let mut working = Working::start(place).await;
    let admin = cluster::client(&working.place.url.replace(&name, "postgres")).await;
    let allow = |allow| format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allow}");
    admin.batch_execute(&allow(false)).await.unwrap();
    admin.batch_execute(&CUT.replace("current_database()", &format!("'{name}'"))).await.unwrap();
    let mut frames = 0;
    while working.deliver(10) {
        frames += 1;
        assert!(frames < 10_000, "memory is not bounded");
    }
    // 1 MiB in total, minus little rounding.
    let bytes = frames * wire::codec::frame_len(10, 0);
    assert!((900_000..=1 << 20).contains(&bytes), "{bytes} bytes wait");
    working.fails(&["SQLSTATE 55000"]).await;
    assert!(working.store.ready().await.is_err());
    assert!(!working.deliver(10), "nothing more is taken");
    admin.batch_execute(&allow(true)).await.unwrap();
    working.is_healed().await;
    assert!(working.deliver(10));
    working.is_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    let place = owned_by_a_role("changing").await;
    let config = place.config.clone().with_password_file(file.path().to_owned());
    let mut working = Working::start(Postgres { config, ..place }).await;
    working.place.execute("ALTER ROLE changing PASSWORD 'second'").await;
    working.place.execute(CUT).await;
    assert!(working.deliver(2));
    working.fails(&["SQLSTATE 28P01", "database.password", "pg_hba.conf"]).await;
    // The file is read for each connection.
    std::fs::write(file.path(), "second\n").unwrap();
    working.is_healed().await;
    std::fs::remove_file(file.path()).unwrap();
    working.place.execute(CUT).await;
    assert!(working.deliver(2));
    working.fails(&["database.password_file", "write the password to it"]).await;
    std::fs::write(file.path(), "second\n").unwrap();
    working.fails(&["database.password_file", "every user of this host can read it"]).await;
    std::fs::set_permissions(file.path(), Permissions::from_mode(0o640)).unwrap();
    working.is_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_was_taken_away() {
    let working = Working::start(owned_by_a_role("deprived").await).await;
    let sql = "REVOKE INSERT ON hot_samples FROM deprived";
    let words = ["SQLSTATE 42501", "hot_samples", "GRANT"];
    working.breaks(sql, &words, "GRANT INSERT ON hot_samples TO deprived").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_make_tables_that_never_was() {
    let place = owned_by_a_role("powerless").await;
    place.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner").await;
    let store = PostgresStore::new(place.config.clone());
    let reason = store.ready().await.unwrap_err().in_full().to_string();
    assert!(reason.contains("SQLSTATE 42501") && reason.contains("schema public"), "{reason}");
    place.execute("GRANT CREATE ON SCHEMA public TO powerless").await;
    store.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_for_a_while() {
    let away = "ALTER TABLE bandwidth_5m RENAME TO elsewhere";
    let back = "ALTER TABLE elsewhere RENAME TO bandwidth_5m";
    let words = ["SQLSTATE 42P01", "bandwidth_5m", "restore it"];
    Working::start(fresh().await).await.breaks(away, &words, back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_holds() {
    let place = fresh().await;
    // Long enough to make the schema in, on a busy machine too.
    let config = place.config.clone().with_patience(Duration::from_secs(3));
    let mut working = Working::start(Postgres { config, ..place }).await;
    let other = cluster::client(&working.place.url).await;
    other.batch_execute("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    assert!(working.deliver(2));
    working.fails(&["pg_stat_activity"]).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    working.is_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_lose_what_it_acknowledges_is_refused_unless_allowed() {
    let place = fresh().await;
    let config = PostgresConfig::new(place.url.parse().unwrap(), Authorities::System).unwrap();
    let store = PostgresStore::new(config);
    let words = ["fsync = off", "database.allow_unsafe: true"];
    let reason = store.ready().await.unwrap_err().in_full().to_string();
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let batch = Agent::new("web", 1, 1).next(vec![sample("eth0", START, 1)]);
    let reason = store.commit(&batch).await.unwrap_err().in_full().to_string();
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_durable_whatever_the_server_s_default() {
    let place = fresh().await;
    let name = name(&place).to_owned();
    place.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let mut working = Working::start(place).await;
    working
        .place
        .execute(
            "CREATE TABLE seen (setting text);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL;
             END $$;
             CREATE TRIGGER see AFTER UPDATE ON sessions EXECUTE FUNCTION see()",
        )
        .await;
    assert!(working.deliver(1));
    working.is_healed().await;
    let durable = "SELECT count(*) FROM seen WHERE setting = 'on'";
    assert_eq!(working.place.numbers(durable).await, [1]);
    assert_eq!(working.place.numbers("SELECT count(*) FROM seen").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_hangs_is_told_before_it_fails_and_goes_on_once_it_can() {
    let mut working = Working::start(fresh().await).await;
    let address = working.serve().await;
    answers(&address, " 200 OK").await;
    let other = cluster::client(&working.place.url).await;
    other.batch_execute("BEGIN; LOCK TABLE hot_samples IN ACCESS EXCLUSIVE MODE").await.unwrap();
    assert!(working.deliver(2));
    let told = |state: &StoreState| state.as_ref().is_some_and(|it| it.contains("and still runs"));
    in_time("the report of a hanging commit", working.state.wait_for(told)).await.unwrap();
    // All queries of the collector are answered, but nothing is committed.
    working.store.ready().await.unwrap();
    answers(&address, " 503 Service Unavailable").await;
    assert_eq!(working.progress.borrow().committed, Seq(1), "nothing is acknowledged");
    other.batch_execute("COMMIT").await.unwrap();
    working.is_healed().await;
    answers(&address, " 200 OK").await;
}

/// Waits until `/readyz` answers with these words.
async fn answers(address: &str, words: &str) {
    until(words, async || {
        let asked = address.to_owned();
        let answer = tokio::task::spawn_blocking(move || testbed::http::get(&asked, "/readyz"));
        answer.await.unwrap().is_some_and(|answer| answer.contains(words))
    })
    .await;
}
