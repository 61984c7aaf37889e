//! The config as operators meet it: the real program with files, variables and flags.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use collector::config::{self, Config};
use settings::{InFull, Options};

/// The program with only the test's variables.
fn collector(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().envs(variables.iter().copied()).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(folder: &tempfile::TempDir, content: &str) -> String {
    let path = folder.path().join("collector.yaml");
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn load(path: PathBuf) -> Config {
    let options = Options { config: Some(path), ..Options::default() };
    config::load(&options).unwrap().config
}

#[test]
fn a_bad_config_is_refused_in_one_line_with_place_key_and_way_out() {
    for (content, expected) in [
        ("server:\n\tport: 1", ":2: not a valid config file: "),
        ("http:\n  prot: 1", ":2: http.prot: unknown key; did you mean http.port?"),
        ("server: {port: 99999}", ":1: server.port: 99999 is not a whole number from 0 to 65535"),
        ("retention: {raw: 5 parsecs}", ":1: retention.raw: \"5 parsecs\" is no duration; write"),
        ("retention: {raw: 1s}", ":1: retention.raw: 1s is out of range; choose 1h to 36500d"),
        ("server: {host: \"0.0.0.0:8082\"}", ":1: server.host: \"0.0.0.0:8082\" is no address"),
        ("http:\n  host: 0.0.0.0", ":2: http.host: 0.0.0.0 can be reached from other hosts, so"),
        ("http: {proxies: [proxy]}", ":1: http.proxies: \"proxy\" is no address; write for"),
        ("http: {proxy_header: a b}", ":1: http.proxy_header: \"a b\" is no header's name"),
        ("database:\n  user: me", ":2: database.user: set without database.host; set the host"),
        (
            "metrics: {tags: [Site]}",
            ":1: metrics.tags: \"Site\": \"Site\" can't be a tag's key: 1 to",
        ),
        (
            "metrics: {tags: [a.b, a-b]}",
            ":1: metrics.tags: a.b and a-b are both the label tag_a_b;",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, content);
        let output = collector(&["check-config", "-c", &path], &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let line = text(&output.stderr);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with(&format!("collector: {path}{expected}")), "{line}");
    }
}

#[test]
fn beyond_the_loopback_somebody_must_be_asked_or_nobody_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
    let token_file = format!("http: {{host: 192.0.2.1, token_file: {}}}", token.display());
    for content in [
        token_file.as_str(),
        "http: {host: 192.0.2.1, proxy_header: Remote-User, proxies: [192.0.2.7]}",
        "http: {host: 192.0.2.1, unprotected: true}",
        "http: {host: 127.9.9.9}",
        "http: {host: \"::1\"}",
    ] {
        load(file(&folder, content).into());
    }
    let config = load(file(&folder, &token_file).into());
    assert!(config.http.access().is_ok());
    for bad in ["short\n", "\n0123456789abcdef", "with a space in it 0123"] {
        fs::write(&token, bad).unwrap();
        let why = config.http.access().unwrap_err().in_full().to_string();
        assert!(why.starts_with("http.token_file: ") && why.contains("openssl rand"), "{why}");
        assert!(!why.contains("0123"), "{why}");
    }
    fs::write(&token, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let why = config.http.access().unwrap_err().in_full().to_string();
    assert!(why.contains("every user of this host can read it; run: chmod 640 "), "{why}");
    // A host name is resolved when the collector starts.
    let config = load(file(&folder, "http: {host: db.example.org}").into());
    assert!(config.http.check_address("192.0.2.1".parse().unwrap()).is_err());
    assert!(config.http.check_address("127.0.0.1".parse().unwrap()).is_ok());
}

#[test]
fn no_error_and_no_output_shows_a_password() {
    let url = "postgres://u:hunter2@db/netmon";
    for (args, variable, value) in [
        (["check-config"], "NETMON_COLLECTOR_DATABASE__URL", url),
        (["check-config"], "NETMON_COLLECTOR_DATABASE", url),
        (["check-config"], "NETMON_COLLECTOR_DATABASE__URL", "postgres://u:hunter2@db:x/netmon"),
        (["check-config"], "NETMON_COLLECTOR_DATABASE__PASSWORD", "hunter2"),
    ] {
        let output = collector(&args, &[(variable, value)]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.is_empty() && !said.contains("hunter2"), "{said}");
    }
    let path = repo("collector/tests/fixtures/old-tool.yaml");
    assert!(!format!("{:?}", load(path)).contains("0123456"));
}

#[test]
fn a_password_in_a_file_that_everybody_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "database: {url: \"postgres://u:hunter2@db/netmon\"}");
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = collector(&["check-config", "-c", &path], &[]);
        assert!(output.status.success());
        let warning =
            format!("collector: warning: {path}: every user of this host can read database.url");
        assert_eq!(text(&output.stderr).contains(&warning), warned, "{output:?}");
    }
}

#[test]
fn the_old_tools_file_loads_unchanged() {
    let config = load(repo("collector/tests/fixtures/old-tool.yaml"));
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 8082));
    let database = config.database.postgres().unwrap().unwrap();
    assert_eq!(database.location(), "postgresql://postgres@localhost:5432/network_monitor");
    // A password of digits keeps its leading zero.
    assert_eq!(config.database.password.unwrap().reveal(), "0123456");
}

#[test]
fn the_example_names_every_key_at_its_default() {
    let path = repo("deploy/collector.yaml");
    assert_eq!(load(path.clone()), Config::default());
    let options = Options { config: Some(path.clone()), ..Options::default() };
    let shown = config::load(&options).unwrap().to_yaml();
    let written = fs::read_to_string(path).unwrap();
    for line in shown.lines().filter(|line| line.ends_with("# default")) {
        let key = line.split(':').next().unwrap();
        assert!(written.lines().any(|line| line.starts_with(&format!("{key}:"))), "{line}");
    }
}

#[test]
fn a_token_for_a_client_that_is_there_is_only_made_to_replace_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let run = |args: &[&str]| {
        let args = [&["--data-dir", dir.to_str().unwrap()], args].concat();
        collector(&args, &[])
    };
    let issued = dir.join("identity/issued/web-1");
    let made = run(&["token", "--client", "web-1"]);
    assert!(text(&made.stdout).starts_with("nmt1_"), "{made:?}");
    fs::write(&issued, r#"{"certificates": []}"#).unwrap();
    fs::set_permissions(&issued, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = run(&["token", "--client", "Web-1"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{refused:?}");
    let said = text(&refused.stderr);
    assert!(said.contains("collector token --client web-1 --replace"), "{said}");
    let made = run(&["token", "--client", "web-1", "--replace"]);
    assert!(text(&made.stdout).starts_with("nmt1_"), "{made:?}");
    // `--replace` needs the client.
    assert_eq!(run(&["token", "--replace"]).status.code(), Some(2));
}

#[test]
fn what_kubernetes_sets_for_a_service_of_this_name_is_ignored_with_a_warning() {
    let links = [
        ("NETMON_COLLECTOR_PORT", "udp://10.96.0.12:8082"),
        ("NETMON_COLLECTOR_PORT_8082_UDP_ADDR", "10.96.0.12"),
        ("NETMON_COLLECTOR_SERVICE_HOST", "10.96.0.12"),
        ("NETMON_COLLECTOR_HTTP_PORT", "tcp://10.96.0.13:8083"),
    ];
    let output = collector(&["check-config"], &links);
    assert!(output.status.success(), "{output:?}");
    let warning = "collector: warning: NETMON_COLLECTOR_HTTP_PORT and 3 more: ignored, since";
    assert!(text(&output.stderr).starts_with(warning), "{output:?}");
    let output = collector(&["check-config"], &[("NETMON_COLLECTOR_PROT", "8082")]);
    assert_eq!(output.status.code(), Some(2), "a misspelt key is an error: {output:?}");
}

#[test]
fn what_is_wrong_with_a_flag_is_said_of_the_flag() {
    for (args, expected) in [
        (&["token", "--client", "a b"][..], "invalid value 'a b' for '--client <ID>'"),
        (&["revoke", "a b"], "invalid value 'a b' for '<CLIENT>'"),
        (&["token", "--expires", "0s"], "a token is good for 1s to 3650d"),
        (&["token", "--expires=-5s"], "no duration"),
    ] {
        let output = collector(args, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let why = text(&output.stderr);
        assert!(why.contains(expected) && !why.contains(".yaml"), "{why}");
    }
}

#[test]
fn what_only_looks_or_refuses_makes_no_identity() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    for args in [
        &["clients"][..],
        &["revoke", "web-1"],
        &["forget", "web-1", "--yes"],
        &["ca", "roll"],
        &["doctor"],
        &["check-config", "--quiet"],
    ] {
        let args = [&["--data-dir", dir.to_str().unwrap()], args].concat();
        let output = collector(&args, &[]);
        assert!(!dir.join("identity").exists(), "{args:?}: {output:?}");
    }
}

#[test]
fn the_variables_of_the_containers_are_keys_with_values_that_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let token = token.display().to_string();
    let mut found = Vec::new();
    for path in ["deploy/kubernetes/collector.yaml", "deploy/compose/compose.yaml"] {
        let text = fs::read_to_string(repo(path)).unwrap();
        for part in text.split("NETMON_COLLECTOR_").skip(1) {
            let name = part.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            found.push(format!("NETMON_COLLECTOR_{name}"));
        }
    }
    found.sort();
    found.dedup();
    assert!(found.len() >= 3, "{found:?}");
    let value = |name: &str| match name.rsplit("__").next() {
        Some("PORT") => "8082".to_owned(),
        Some("TOKEN_FILE") => token.clone(),
        _ if name.ends_with("DATA_DIR") => "/data".to_owned(),
        _ => "::1".to_owned(),
    };
    let values: Vec<(String, String)> =
        found.into_iter().map(|name| (name.clone(), value(&name))).collect();
    let values: Vec<(&str, &str)> = values.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let output = collector(&["check-config", "--quiet"], &values);
    assert!(output.status.success(), "{values:?}: {}", text(&output.stderr));
}
