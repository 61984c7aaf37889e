//! `collector silence`, as operators use it.

use std::path::Path;
use std::process::Command;

use collector::store::AlertReader;
use collector::store::sqlite::{SqliteReader, SqliteStore};
use collector::time::now_ns;

const CONFIG: &str = "alerts:
  rules: {full: {measure: utilisation}}
";

/// Runs `silence` with these arguments; its output, error output and exit code.
fn run(folder: &Path, args: &[&str]) -> (String, String, Option<i32>) {
    let file = folder.join("collector.yaml");
    std::fs::write(&file, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().arg("-c").arg(file).arg("--data-dir").arg(folder).arg("silence");
    let output = command.args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_add_list_and_end_silences_before_and_while_a_collector_runs() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (text, error, code) = run(here, &["list"]);
    assert_eq!(
        (text.as_str(), error.as_str(), code),
        ("no silence; `collector silence add` makes one\n", "", Some(0))
    );
    // Before a collector has ever run.
    let first = [
        "add",
        "--client",
        "Web-*",
        "--nic",
        "eth?",
        "--for",
        "2h",
        "--reason",
        "new \u{1b}switch",
    ];
    let (text, error, code) = run(here, &first);
    assert_eq!((error.as_str(), code), ("", Some(0)));
    assert!(text.contains(": client web-*, nic eth?, until 20"), "{text}");
    let id = text.split([' ', ':']).nth(1).unwrap().to_owned();
    assert_eq!(id.len(), 12, "{text}");
    // Beside one that runs.
    let path = here.join("netmon.sqlite");
    let _running = SqliteStore::open(&path).unwrap();
    let (text, error, code) = run(
        here,
        &["add", "--rule", "full", "--tag", "site=ams", "--for", "1h", "--reason", "drill"],
    );
    assert!(text.contains("rule full, tag site=ams") && code == Some(0), "{text}{error}");
    let (list, _, _) = run(here, &["list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[1].ends_with("rule full, tag site=ams: drill"), "the earliest end first: {list}");
    assert!(lines[2].starts_with(&id) && lines[2].ends_with("new \\u001bswitch"), "{list}");
    let (text, _, code) = run(here, &["end", &id[..6]]);
    assert!(text.contains(&format!("silence {id} has ended")) && code == Some(0), "{text}");
    let known = SqliteReader::open(&path).unwrap().silences(now_ns()).await.unwrap();
    assert_eq!(known.len(), 1);
    assert!(!known[0].by.is_empty());
    let audit = std::fs::read_dir(here.join("audit")).unwrap().count();
    assert_eq!(audit, 3, "for the running collector to log");
    for (args, why) in [
        (
            &["add", "--rule", "fill", "--for", "1h", "--reason", "x"][..],
            "no rule of alerts is named fill; the config has full",
        ),
        (&["add", "--for", "1h"], "--reason"),
        (&["end", &id], "`collector silence list` lists them"),
    ] {
        let (_, error, code) = run(here, args);
        assert!(error.contains(why) && code != Some(0), "{args:?}: {error}");
    }
}
