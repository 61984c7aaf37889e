//! Packing in the embedded store that is killed: a process of its own is, at many points of its work.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use collector::store::sqlite::SqliteStore;
use collector::store::{Commit, Database, Retain};
use wire::WallNs;

use crate::batches::{DAY, START};
use crate::packed::filled;
use crate::suite::{assert_sound, mix_range, raw, with_mixes};

/// Names the file that the test packs in a process of its own.
const PACKS: &str = "NETMON_TEST_PACKS";

/// How often it is killed; more, if this variable says so.
const KILLS: (&str, u64) = ("NETMON_TEST_KILLS", 6);

#[tokio::test(flavor = "multi_thread")]
async fn packing_that_is_killed_at_any_time_loses_and_doubles_nothing() {
    if let Some(path) = std::env::var_os(PACKS) {
        let store = SqliteStore::open(Path::new(&path)).unwrap();
        println!("packing");
        store.pack(WallNs::MAX).await.unwrap();
        return;
    }
    let (place, store, mut agent) = filled(6).await;
    store.commit(&with_mixes(&mut agent, 6)).await.unwrap();
    let expected = raw(&store, "web", "eth0").await;
    let range = mix_range(START, START + DAY);
    let mixes = store.mix(&range).await.unwrap();
    drop(store);
    let kills = std::env::var(KILLS.0).map_or(KILLS.1, |kills| kills.parse().unwrap());
    let mut halves = 0;
    for kill in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netmon.sqlite");
        std::fs::copy(place.path(), &path).unwrap();
        let name = "packing_killed::packing_that_is_killed_at_any_time_loses_and_doubles_nothing";
        let mut packs = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--exact", name])
            .env(PACKS, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(packs.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("packing")));
        // Other points of the work in each turn.
        std::thread::sleep(Duration::from_micros(kill * 997_331 % 400_000));
        packs.kill().unwrap();
        packs.wait().unwrap();
        let store: Arc<dyn Database> = Arc::new(SqliteStore::open(&path).unwrap());
        assert_sound(&store).await;
        assert_eq!(raw(&store, "web", "eth0").await, expected, "kill {kill}");
        assert_eq!(store.mix(&range).await.unwrap(), mixes, "kill {kill}");
        let left = store.pack(WallNs::MAX).await.unwrap();
        halves += u64::from((1..expected.len() as u64).contains(&left));
        assert_eq!(store.mix(&range).await.unwrap(), mixes, "kill {kill}");
        assert_eq!(raw(&store, "web", "eth0").await, expected, "kill {kill}");
        assert_sound(&store).await;
    }
    assert!(halves > 0, "no kill came while it packed");
}
