//! Checks the statements that the collector ran on the tests' server, from its log, against the rules
//! of Citus.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use crate::cluster;
use crate::rules::{Digest, Rules, digest};

/// Settings of the server that make its log readable here.
pub const LOGGED: [&str; 3] =
    ["log_statement=all", "log_parameter_max_length=0", "log_line_prefix=%p|%d|%a|"];

/// A database whose statements are checked once its test is done.
#[derive(Debug)]
pub struct Held(pub String);

impl Drop for Held {
    fn drop(&mut self) {
        // A real Citus reports itself what it refuses.
        if !std::thread::panicking() && testbed::citus::running().is_none() {
            let broken = broken(&self.0);
            assert!(broken.is_empty(), "statements that Citus refuses: {broken:#?}");
        }
    }
}

#[derive(Debug, Default)]
struct Log {
    /// Bytes of the file read so far.
    read: u64,
    /// By database: each session's process and statements.
    run: HashMap<String, Vec<(u32, String)>>,
    /// Where the next line belongs if it continues the previous one.
    last: Option<String>,
    digests: HashMap<String, Digest>,
}

static LOG: Mutex<Option<Log>> = Mutex::new(None);

fn broken(database: &str) -> Vec<String> {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let log = log.get_or_insert_default();
    let mut file = std::fs::File::open(cluster::log()).unwrap();
    file.seek(SeekFrom::Start(log.read)).unwrap();
    let mut text = Vec::new();
    file.read_to_end(&mut text).unwrap();
    // An incomplete last line belongs to others.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    log.read += whole as u64;
    for line in String::from_utf8_lossy(&text[..whole]).lines() {
        log.on_line(line);
    }
    let mut rules = Rules::default();
    for (session, text) in log.run.remove(database).unwrap_or_default() {
        let known = log.digests.entry(text);
        let digest = known.or_insert_with_key(|text| digest(text));
        rules.take(session, digest);
    }
    rules.broken()
}

impl Log {
    fn on_line(&mut self, line: &str) {
        if let Some(more) = line.strip_prefix('\t') {
            let run = self.last.as_ref().and_then(|database| self.run.get_mut(database));
            if let Some((_, text)) = run.and_then(|run| run.last_mut()) {
                text.push('\n');
                text.push_str(more);
            }
            return;
        }
        self.last = None;
        let mut parts = line.splitn(4, '|');
        let (Some(process), Some(database), Some(program), Some(said)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let statement = said.strip_prefix("LOG:  statement: ");
        let statement =
            statement.or_else(|| Some(said.strip_prefix("LOG:  execute ")?.split_once(": ")?.1));
        // Tests' own connections have no application name.
        if let (Ok(process), Some(statement), "netmon-collector") =
            (process.parse(), statement, program)
        {
            let run = self.run.entry(database.to_owned()).or_default();
            run.push((process, statement.to_owned()));
            self.last = Some(database.to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_citus_does_not_take_is_found_in_the_log() {
    let url = cluster::new_database().await;
    let name = url.rsplit('=').next().unwrap().to_owned();
    let named = format!("{url} application_name=netmon-collector");
    cluster::execute(&named, "CREATE TABLE bandwidth_5m (client integer, nic integer)").await;
    let client = cluster::client(&named).await;
    client.query("SELECT 2 FROM bandwidth_5m\n\tWHERE nic = $1", &[&7]).await.unwrap();
    cluster::execute(&url, "SELECT FROM bandwidth_5m").await;
    let broken = broken(&name);
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].contains("SELECT 2 FROM bandwidth_5m WHERE nic = $1"), "{broken:?}");
}
