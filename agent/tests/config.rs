//! The config as operators meet it: the real program with files, variables and flags.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agent::config::{self, Config};
use agent::connection::Server;
use agent::talkers::Addresses;
use settings::{Interval, Options};

/// The program with only the test's variables.
fn agent(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.env_clear().envs(variables.iter().copied()).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(folder: &tempfile::TempDir, content: &str) -> String {
    let path = folder.path().join("agent.yaml");
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

/// The single error line of a refused config; the exit code must be 2, without output.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    line.trim_end().to_owned()
}

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn load(path: PathBuf) -> Config {
    let options = Options { config: Some(path), ..Options::default() };
    config::load(&options, &[]).unwrap().config
}

#[test]
fn a_bad_file_is_refused_in_one_line_with_place_key_value_and_way_out() {
    let duration = "write a number and its unit, for example 500ms, 1m30s or 7d";
    for (content, expected) in [
        ("server: [", ":1: not a valid config file: unclosed bracket '['".to_owned()),
        (
            "a: 1\na: 2",
            ":2: not a valid config file: duplicate mapping key `a` is not allowed here".to_owned(),
        ),
        (
            "monitor:\n  sample_intervall: 1s",
            ":2: monitor.sample_intervall: unknown key; did you mean monitor.sample_interval?"
                .to_owned(),
        ),
        (
            "sample_interval: 1s",
            ":1: sample_interval: unknown key; did you mean monitor.sample_interval?".to_owned(),
        ),
        (
            "tls: {colour: red}",
            ":1: tls.colour: unknown key; known here: ca, cert, key, crl".to_owned(),
        ),
        (
            "monitor:\n  sample_interval: 5 parsecs",
            format!(":2: monitor.sample_interval: \"5 parsecs\" is no duration; {duration}"),
        ),
        (
            "monitor:\n  sample_interval: 1ms",
            ":2: monitor.sample_interval: 1ms is out of range; choose 10ms to 1m".to_owned(),
        ),
        (
            "monitor:\n  talkers: {addresses: some}",
            ":2: monitor.talkers.addresses: \"some\" is unknown; choose one of whole, prefix, off"
                .to_owned(),
        ),
        (
            "monitor:\n  sample_interval: 2s\n  report_interval: 1s",
            ":3: monitor.report_interval: 1s is shorter than monitor.sample_interval (2s); make \
             it at least as long"
                .to_owned(),
        ),
        (
            "server:\n  port: 99999",
            ":2: server.port: 99999 is not a whole number from 0 to 65535".to_owned(),
        ),
        ("server:\n  port: 0", ":2: server.port: 0 is out of range; choose 1 to 65535".to_owned()),
        (
            "monitor:\n  nics:\n    include: [\"eth[\"]",
            ":3: monitor.nics.include: \"eth[\": no glob: unclosed character class; missing ']'; \
             write for example eth0, eth* or enp[0-9]s0"
                .to_owned(),
        ),
        (
            "server:\n- a",
            ":1: server: a section, not a value; its keys are fallbacks, host, max_retry, port, \
             retry_interval"
                .to_owned(),
        ),
        (
            "spool: {max_size: big}",
            ":1: spool.max_size: \"big\" is no size; write a number and its unit, for example \
             256KiB, 64MiB or 64MB"
                .to_owned(),
        ),
        (
            "monitor:\n  ring: {block_size: 300001B}",
            ":2: monitor.ring.block_size: 300001B is no multiple of 4KiB; choose for example 8KiB"
                .to_owned(),
        ),
        (
            "server: {host: \"a:8082\"}",
            ":1: server.host: \"a:8082\" is no host; write a name or an address such as \
             collector.example.org; the port goes to server.port"
                .to_owned(),
        ),
        (
            "tls: {cert: a.pem, key: b.pem}",
            ": tls.ca: not set; set tls.ca, tls.cert and tls.key, or none".to_owned(),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, content);
        let line = refusal(&agent(&["check-config", "-c", &path], &[]));
        assert_eq!(line, format!("agent: {path}{expected}"));
    }
}

#[test]
fn a_missing_file_and_a_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let missing = refusal(&agent(&["check-config", "-c", &format!("{path}/none.yaml")], &[]));
    assert_eq!(
        missing,
        format!(
            "agent: {path}/none.yaml: No such file or directory (os error 2); name an existing \
             file with -c"
        )
    );
    let directory = refusal(&agent(&["-c", &path.to_string(), "check-config"], &[]));
    let expected = format!("agent: {path}: Is a directory (os error 21); name the file in it");
    assert!(directory.starts_with(&expected), "{directory}");
}

#[test]
fn a_bad_variable_or_flag_is_named() {
    for (variable, value, expected) in [
        ("NETMON_AGENT_SERVER__PORT", "99999", "server.port: 99999 is not a whole number"),
        ("NETMON_AGENT_SERVER__PROT", "1", "server.prot: unknown key; did you mean server.port?"),
        ("NETMON_AGENT_SERVER", "a", "server: a section, not a value; its keys are"),
        ("NETMON_AGENT_MONITOR__CPUS", "0,x", "monitor.cpus: \"x\": no CPU"),
        ("RUST_LOG", "loud", "log.level: \"loud\" is no level; choose one of off, error"),
    ] {
        let line = refusal(&agent(&["check-config"], &[(variable, value)]));
        assert!(line.starts_with(&format!("agent: {variable}: {expected}")), "{line}");
    }
    let line = refusal(&agent(&["check-config", "--log-level", "loud"], &[]));
    assert!(line.starts_with("agent: --log-level: log.level: \"loud\" is no level"), "{line}");
}

#[test]
fn an_unknown_command_or_flag_is_refused() {
    let line = refusal(&agent(&["chekc-config"], &[]));
    let expected = "agent: unrecognized subcommand 'chekc-config'; a similar subcommand exists: \
                    'check-config'; see `agent --help`";
    assert_eq!(line.replace("; tip: ", "; "), expected);
    refusal(&agent(&["check-config", "--colour"], &[]));
}

#[test]
fn help_and_version_are_no_errors() {
    for (flag, expected) in [("--help", "Usage: agent"), ("--version", "agent 0.")] {
        let output = agent(&[flag], &[]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(text(&output.stdout).contains(expected), "{output:?}");
    }
}

#[test]
fn each_layer_wins_over_those_below_and_is_named_as_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let content = "data_dir: /file\nlog:\n  level: warn\nserver: {port: 1, max_retry: 7}\n";
    let path = file(&folder, content);
    let variables = [
        ("NETMON_AGENT_SERVER__PORT", "2"),
        ("NETMON_AGENT_LOG__LEVEL", "error"),
        ("NETMON_AGENT_MONITOR__CPUS", "0, 0"),
        ("NETMON_AGENT_CLIENT__ALIAS", ""),
        ("RUST_LOG", "trace"),
    ];
    let output = agent(&["check-config", "-c", &path, "--data-dir", "/flag"], &variables);
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    for line in [
        "data_dir: /flag  # --data-dir".to_owned(),
        "  port: 2  # NETMON_AGENT_SERVER__PORT".to_owned(),
        "  level: error  # NETMON_AGENT_LOG__LEVEL".to_owned(),
        "  cpus: [0, 0]  # NETMON_AGENT_MONITOR__CPUS".to_owned(),
        "  alias: \"\"  # default".to_owned(),
        format!("  max_retry: 7  # {path}:4"),
        "  sample_interval: 500ms  # default".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
}

#[test]
fn addresses_of_talkers_can_be_told_whole_by_prefix_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("whole", Addresses::Whole),
        ("prefix", Addresses::Prefix),
        // Not a boolean, whatever older YAML says.
        ("off", Addresses::Off),
    ] {
        let path = dir.path().join(text);
        fs::write(&path, format!("monitor:\n  talkers:\n    addresses: {text}\n")).unwrap();
        assert_eq!(load(path).monitor.talkers.addresses, expected);
    }
}

#[test]
fn the_effective_config_reads_back_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let content = "client: {id: 007, alias: \"a: 'b' # \\\"c\\\" - \"}\nserver: {host: \"::1\", \
                   fallbacks: [b, \"[::2]:9\"]}\nmonitor: {nics: {exclude: [\"{a,b}*\", '?']}}\n";
    let first = agent(&["check-config", "-c", &file(&folder, content)], &[]);
    let shown = text(&first.stdout);
    let config = load(folder.path().join("agent.yaml"));
    assert_eq!(load(file(&folder, &shown).into()), config);
    assert_eq!(config.client.id, "007");
    assert_eq!(config.client.alias, "a: 'b' # \"c\" - ");
    let fallback = Server { host: "::2".to_owned(), port: 9 };
    assert_eq!(config.collectors().unwrap()[2], fallback);
}

#[test]
fn the_old_tools_file_loads_unchanged() {
    let config = load(repo("agent/tests/fixtures/old-tool.yaml"));
    let collector = Server { host: "collector.example.org".to_owned(), port: 8082 };
    assert_eq!(config.collectors(), Ok(vec![collector]));
    assert_eq!((config.server.max_retry, config.server.retry_interval), (5, Interval::secs(5)));
    assert_eq!(
        (config.client.id.as_str(), config.client.alias.as_str()),
        ("web-1", "Web server 1")
    );
    assert_eq!(config.monitor.sample_interval, Interval::millis(500));
    assert_eq!(config.monitor.report_interval, Interval::secs(1));
}

#[test]
fn the_example_names_every_key_at_its_default() {
    let path = repo("deploy/agent.yaml");
    let mut example = load(path.clone());
    example.client.id = String::new();
    assert_eq!(example, Config::default());
    let options = Options { config: Some(path.clone()), ..Options::default() };
    let shown = config::load(&options, &[]).unwrap().to_yaml();
    let written = fs::read_to_string(path).unwrap();
    for line in shown.lines().filter(|line| line.ends_with("# default")) {
        let key = line.split(':').next().unwrap();
        assert!(written.lines().any(|line| line.starts_with(&format!("{key}:"))), "{line}");
    }
}

#[test]
fn a_private_key_that_everybody_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    fs::write(&key, "").unwrap();
    let pem = key.display();
    let path = file(&folder, &format!("tls: {{ca: {pem}, cert: {pem}, key: {pem}}}"));
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let output = agent(&["check-config", "-c", &path], &[]);
        assert!(output.status.success());
        let warning = format!("agent: warning: {pem}: every user of this host can read tls.key");
        assert_eq!(text(&output.stderr).contains(&warning), warned, "{output:?}");
    }
}

#[test]
fn a_cpu_that_there_is_none_of_is_told_by_check_config_and_doctor_and_refused_by_none() {
    let variables = [("NETMON_AGENT_MONITOR__CPUS", "4095")];
    // `agent run` continues in this case: a host may lose CPUs.
    let checked = agent(&["check-config"], &variables);
    let said = text(&checked.stderr);
    assert!(checked.status.success(), "{checked:?}");
    assert!(said.contains("monitor.cpus: this process may not use CPU 4095"), "{said}");
    assert!(said.contains("readers run on CPUs that the kernel chooses"), "{said}");
    let found = text(&agent(&["doctor"], &variables).stdout);
    assert!(found.contains("monitor.cpus names 4095"), "{found}");
}

/// The data directory of an enrolled host.
fn enrolled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let server = |host: &str| Server { host: host.to_owned(), port: 9000 };
    config::enrolled::write(folder.path(), &server("10.0.0.1"), &[server("monitor")]).unwrap();
    folder
}

#[test]
fn where_enrolment_found_the_collector_holds_without_any_config() {
    let folder = enrolled();
    let output = agent(&["check-config", "--data-dir", &folder.path().display().to_string()], &[]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let (shown, file) = (text(&output.stdout), config::enrolled::path(folder.path()));
    for line in ["host: 10.0.0.1", "port: 9000", "fallbacks: [\"monitor:9000\"]"] {
        let line = format!("  {line}  # {}\n", file.display());
        assert!(shown.contains(&line), "{line}{shown}");
    }
}

#[test]
fn a_config_that_names_another_collector_holds_and_the_contradiction_is_told() {
    let folder = enrolled();
    let path =
        file(&folder, &format!("server: {{host: b}}\ndata_dir: {}", folder.path().display()));
    let output = agent(&["check-config", "-c", &path], &[]);
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    for line in
        [&format!("host: b  # {path}:1"), "port: 8082  # default", "fallbacks: []  # default"]
    {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(told.contains(&format!("{path}:1: server.host: b is used")), "{told}");
    assert!(told.contains("enrolled at 10.0.0.1") && told.contains("remove"), "{told}");
    let variables = [("NETMON_AGENT_SERVER__HOST", "10.0.0.1")];
    let data_dir = folder.path().display().to_string();
    let output = agent(&["check-config", "--data-dir", &data_dir], &variables);
    assert!(output.stderr.is_empty(), "the same collector is no conflict: {output:?}");
}

/// The program on a host with this name, in its own namespace.
fn on_host(name: &[u8], args: &str) -> Output {
    let octal: String = name.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let program = env!("CARGO_BIN_EXE_agent");
    let script = format!("printf '{octal}' > /proc/sys/kernel/hostname && exec {program} {args}");
    Command::new("unshare").args(["-Uru", "sh", "-c", &script]).output().unwrap()
}

#[test]
fn a_host_whose_name_no_client_can_have_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    for (name, id) in [
        (&b"host.example.com."[..], "host.example.com"),
        (b"(none)", r#""""#),
        (b"\xff\xfe", r#""""#),
        (b"-", r#""""#),
    ] {
        let output = on_host(name, &format!("check-config --data-dir {dir}"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let shown = text(&output.stdout);
        let line = shown.lines().find_map(|line| line.strip_prefix("  id: ")).unwrap();
        assert!(line.starts_with(id), "{line}");
    }
    // An explicit id must be valid.
    let path = file(&folder, "client: {id: (none)}");
    assert!(refusal(&agent(&["check-config", "-c", &path], &[])).contains("client.id"));
}

#[test]
fn the_variables_of_the_containers_are_keys_with_values_that_are_taken() {
    let mut found = Vec::new();
    for path in ["deploy/kubernetes/agent.yaml", "deploy/compose/compose.yaml"] {
        let text = fs::read_to_string(repo(path)).unwrap();
        for part in text.split("NETMON_AGENT_").skip(1) {
            let name = part.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            found.push(format!("NETMON_AGENT_{name}"));
        }
    }
    found.sort();
    found.dedup();
    assert!(found.len() >= 3, "{found:?}");
    let value = |name: &str| match name.rsplit("__").next() {
        Some("PORT") => "8082".to_owned(),
        _ if name.ends_with("DATA_DIR") => "/data".to_owned(),
        _ => "node-1".to_owned(),
    };
    let values: Vec<(String, String)> =
        found.into_iter().map(|name| (name.clone(), value(&name))).collect();
    let values: Vec<(&str, &str)> = values.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let output = agent(&["check-config", "--quiet"], &values);
    assert!(output.status.success(), "{values:?}: {}", text(&output.stderr));
}
