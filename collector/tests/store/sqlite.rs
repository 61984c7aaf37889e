//! The suite on SQLite, and features that only SQLite has.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector::store::sqlite::{
    OpenError, SqliteReader, SqliteRegister, SqliteStore, add_functions,
};
use collector::store::{Commit, Database, Query, Resolution, Store, Tagging};
use rusqlite::Connection;
use settings::InFull;
use wire::id::SessionId;
use wire::{Seq, WallNs};

use crate::batches::{Agent, DAY, SECOND, START, all, client, hello, sample};
use crate::suite::{
    FarEnds, Place, ReportRow, SAID, commit_talkers, day,
    few_clients_are_found_beside_many_changes, opened, tags,
};

/// A directory with a database.
pub struct Sqlite {
    directory: tempfile::TempDir,
}

impl Sqlite {
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("data/netmon.db")
    }

    pub fn connection(&self) -> Connection {
        let db = Connection::open(self.path()).unwrap();
        db.busy_timeout(testbed::PATIENCE).unwrap();
        add_functions(&db).unwrap();
        db
    }
}

/// A change of samples as one of those that are not packed yet: what is changed behind the store's back.
pub fn of_hot_samples(sql: &str) -> String {
    let of_samples = |action: &str| [action, "bandwidth_stats"].join(" ");
    ["UPDATE", "DELETE FROM"].iter().fold(sql.to_owned(), |sql, action| {
        sql.replace(&of_samples(action), &format!("{action} hot_samples"))
    })
}

impl Place for Sqlite {
    async fn open(&self) -> Arc<dyn Database> {
        Arc::new(SqliteStore::open(&self.path()).unwrap())
    }

    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let db = self.connection();
        let mut select = db.prepare(sql).unwrap();
        let numbers = select.query_map([], |row| row.get(0)).unwrap();
        numbers.collect::<Result<_, _>>().unwrap()
    }

    async fn execute(&self, sql: &str) {
        self.connection().execute_batch(&of_hot_samples(sql)).unwrap();
    }

    async fn wait_until_nothing_is_read(&self) {
        let db = self.connection();
        let busy = || {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            db.query_row(checkpoint, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        db.busy_timeout(testbed::PATIENCE).unwrap();
        assert_eq!(busy(), 0, "a reader keeps the log from being truncated");
    }

    async fn report(&self, client: &str) -> Vec<ReportRow> {
        let db = self.connection();
        let mut select = db
            .prepare(
                "SELECT alias, nic, timestamp, upload_speed, download_speed,
                     avg_upload_packet_size, avg_download_packet_size
                 FROM bandwidth_report WHERE client_id = ?1 ORDER BY nic, time",
            )
            .unwrap();
        let rows = select.query_map([client], |row| {
            Ok(ReportRow {
                alias: row.get(0)?,
                nic: row.get(1)?,
                timestamp: row.get(2)?,
                upload_speed: row.get(3)?,
                download_speed: row.get(4)?,
                avg_upload_packet_size: row.get(5)?,
                avg_download_packet_size: row.get(6)?,
            })
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

pub async fn fresh() -> Sqlite {
    Sqlite { directory: tempfile::tempdir().unwrap() }
}

crate::behaviours!(fresh());

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_talkers_of_a_nic_takes_at_most_two_megabytes() {
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    for (number, far) in (0..).zip(FarEnds::ALL) {
        let before = place.numbers(size).await[0];
        commit_talkers(&store, &mut agent, day(START + number * DAY, far)).await;
        let bytes = place.numbers(size).await[0] - before;
        println!("a day of talkers, {far:?}: {bytes} bytes");
        assert!((1_000_000..=far.most()).contains(&bytes), "{far:?}: {bytes}");
    }
}

fn refusal(path: &Path) -> OpenError {
    SqliteStore::open(path).unwrap_err()
}

#[tokio::test]
async fn a_second_collector_on_the_same_file_is_refused_and_readers_are_not() {
    let place = fresh().await;
    let store = SqliteStore::open(&place.path()).unwrap();
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let error = refusal(&place.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.in_full().to_string().contains("netmon.db"), "{error}");
    let reader = SqliteReader::open(&place.path()).unwrap();
    assert_eq!(reader.clients().await.unwrap().len(), 1);
    let mut agent = Agent::new("web", 1, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    let series = reader.series(&all("web", "eth0", Resolution::Raw)).await.unwrap();
    assert_eq!(series.points.len(), 1, "a reader sees what is committed");
    drop(store);
    SqliteStore::open(&place.path()).unwrap();
}

#[tokio::test]
async fn a_reader_makes_no_file() {
    let place = fresh().await;
    let error = SqliteReader::open(&place.path()).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(!place.path().exists());
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let place = fresh().await;
    drop(place.open().await);
    place.execute("PRAGMA user_version = 99").await;
    let error = refusal(&place.path());
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    let error = SqliteReader::open(&place.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(db);
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netmon.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.in_full().to_string().contains("netmon.db"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8192], "the damaged file is unchanged");
}

#[tokio::test]
async fn a_place_that_can_not_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), b"").unwrap();
    let error = refusal(&directory.path().join("file/netmon.db"));
    assert!(matches!(error, OpenError::File { .. }), "{error}");
    assert!(
        error.in_full().to_string().contains(&directory.path().join("file").display().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn what_was_committed_is_in_the_files_before_it_is_acknowledged() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    // No clean stop: copy the files as a kill would leave them.
    let killed = tempfile::tempdir().unwrap();
    let copy = killed.path().join("netmon.db");
    std::fs::copy(place.path(), &copy).unwrap();
    let wal = place.path().with_extension("db-wal");
    std::fs::copy(wal, killed.path().join("netmon.db-wal")).unwrap();
    let store = SqliteStore::open(&copy).unwrap();
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(1));
    let series = store.series(&all("web", "eth0", Resolution::Raw)).await.unwrap();
    assert_eq!(series.points.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_deleted_under_the_store_takes_nothing_and_is_not_ready_until_it_is_back() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    store.ready().await.unwrap();
    let away = place.path().with_extension("away");
    std::fs::rename(place.path(), &away).unwrap();
    let next = agent.next(vec![sample("eth0", START + SECOND, 2)]);
    for failed in [store.ready().await, store.commit(&next).await.map(drop)] {
        let words = failed.unwrap_err().in_full().to_string();
        assert!(words.contains("was deleted while the collector had it open"), "{words}");
    }
    std::fs::write(place.path(), "something else").unwrap();
    let words = store.commit(&next).await.unwrap_err().in_full().to_string();
    assert!(words.contains("was replaced"), "{words}");
    std::fs::rename(&away, place.path()).unwrap();
    store.ready().await.unwrap();
    store.commit(&next).await.unwrap();
    assert!(store.check().await.unwrap().is_sound());
}

#[test]
fn files_that_others_could_read_are_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let sqlite = Sqlite { directory: tempfile::tempdir().unwrap() };
    let store = SqliteStore::open(&sqlite.path()).unwrap();
    let files = ["", "-wal", "-shm"].map(|suffix| format!("{}{suffix}", sqlite.path().display()));
    let modes = || files.each_ref().map(|it| std::fs::metadata(it).unwrap().mode() & 0o777);
    assert_eq!(modes(), [0o600; 3]);
    for file in &files {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    // Another reader beside the running store, whose log and index stay.
    let beside = SqliteRegister::open(&sqlite.path()).unwrap();
    assert_eq!(modes(), [0o600; 3]);
    drop((beside, store));
}

#[test]
fn what_is_planted_beside_the_file_is_not_opened() {
    const SERVICE: u32 = 65_432;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let sqlite = Sqlite { directory: tempfile::tempdir().unwrap() };
    drop(SqliteStore::open(&sqlite.path()).unwrap());
    let data = sqlite.path().parent().unwrap().to_owned();
    for entry in std::fs::read_dir(&data).unwrap().flatten().map(|it| it.path()).chain([data]) {
        std::os::unix::fs::chown(entry, Some(SERVICE), Some(SERVICE)).unwrap();
    }
    let secret = sqlite.directory.path().join("secret");
    std::fs::write(&secret, "root's").unwrap();
    for suffix in ["-wal", "-shm", "-journal"] {
        let planted = PathBuf::from(format!("{}{suffix}", sqlite.path().display()));
        std::fs::hard_link(&secret, &planted).unwrap();
        let refused = [
            SqliteStore::open(&sqlite.path()).map(drop),
            SqliteReader::open(&sqlite.path()).map(drop),
        ];
        for refused in refused {
            let text = refused.unwrap_err().in_full().to_string();
            assert!(text.contains(&format!("rm {}", planted.display())), "{text}");
        }
        std::fs::remove_file(planted).unwrap();
    }
    assert_eq!(std::fs::metadata(&secret).unwrap().uid(), 0);
    assert_eq!(std::fs::read(&secret).unwrap(), b"root's");
    drop(SqliteStore::open(&sqlite.path()).unwrap());
}

#[tokio::test]
async fn an_agent_that_says_the_same_tags_again_writes_nothing() {
    let place = fresh().await;
    let store = SqliteStore::open(&place.path()).unwrap();
    let (web, at) = (client("web"), |minute: u64| WallNs(START + minute * 60 * SECOND));
    store.open_sessions(&web, &hello(&[1]), at(0)).await.unwrap();
    let db = place.connection();
    // Another number after each transaction of another connection.
    let version = || db.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
    let mut before = version();
    for (said, minute, writes) in SAID {
        store.record_tags(&web, &tags(said), at(minute), at(minute)).await.unwrap();
        let after = version();
        assert_eq!(before != after, writes, "{said:?} at minute {minute}");
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_clients_are_found_beside_many_changes_of_others() {
    few_clients_are_found_beside_many_changes(&fresh().await, "valid_from + i").await;
}
