//! An agent and a collector on this host, with a data directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http::{self, HTTP};
use crate::namespace::Namespace;
use crate::patience::wait_until;
use crate::process::{Running, done, program};

/// Agent and collector. Inside their own namespace the default ports are free.
#[derive(Debug)]
pub struct Site {
    dir: tempfile::TempDir,
    /// The collector's PostgreSQL; `None`: the embedded store.
    database: Option<String>,
    /// Folders of both programs; `None`: those of this build.
    agent_from: Option<PathBuf>,
    collector_from: Option<PathBuf>,
    /// Settings of the collector, as variables.
    settings: Vec<(String, String)>,
}

impl Site {
    /// Makes the directory.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, database: None, agent_from: None, collector_from: None, settings: Vec::new() }
    }

    /// Makes the directory. The collector uses a database of a [`Cluster`](crate::Cluster), which runs
    /// without fsync.
    #[must_use]
    pub fn with_database(url: &str) -> Self {
        Self { database: Some(url.to_owned()), ..Self::new() }
    }

    /// Uses the programs of another build.
    #[must_use]
    pub fn with_programs(mut self, folder: &Path) -> Self {
        self.take_agent(Some(folder));
        self.take_collector(Some(folder));
        self
    }

    /// From now on uses the agent of another build; `None`: that of this build.
    pub fn take_agent(&mut self, folder: Option<&Path>) {
        self.agent_from = folder.map(Path::to_owned);
    }

    /// From now on uses the collector of another build; `None`: that of this build.
    pub fn take_collector(&mut self, folder: Option<&Path>) {
        self.collector_from = folder.map(Path::to_owned);
    }

    /// Adds a setting of the collector: `HTTP__PORT` is `http.port`.
    #[must_use]
    pub fn with_setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("NETMON_COLLECTOR_{key}"), value.to_owned()));
        self
    }

    /// Directory of their data and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Data directory of the collector.
    #[must_use]
    pub fn collector_data(&self) -> PathBuf {
        self.dir().join("collector")
    }

    /// Directory of the collector's CA and register of certificates.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.collector_data().join("identity")
    }

    /// The collector's command with arguments.
    #[must_use]
    pub fn collector(&self, args: &[&str]) -> Command {
        self.collector_in("collector", args)
    }

    /// The command of a collector with its own data directory.
    #[must_use]
    pub fn collector_in(&self, folder: &str, args: &[&str]) -> Command {
        let mut command =
            Namespace::own().command(program_from(self.collector_from.as_deref(), "collector"));
        command.arg("--data-dir").arg(self.dir().join(folder)).args(args);
        if let Some(url) = &self.database {
            command.env("NETMON_COLLECTOR_DATABASE__URL", url);
            command.env("NETMON_COLLECTOR_DATABASE__ALLOW_UNSAFE", "true");
        }
        command.envs(self.settings.iter().map(|(key, value)| (key, value)));
        command
    }

    /// The command of the agent `host-1`, which reports every 200 ms to this host.
    #[must_use]
    pub fn agent(&self, args: &[&str]) -> Command {
        self.agent_in("agent", "host-1", args)
    }

    /// The command of an agent with its own data directory and client id.
    #[must_use]
    pub fn agent_in(&self, folder: &str, client: &str, args: &[&str]) -> Command {
        let mut command =
            Namespace::own().command(program_from(self.agent_from.as_deref(), "agent"));
        command.arg("--data-dir").arg(self.dir().join(folder)).args(args);
        command.env("NETMON_AGENT_SERVER__HOST", "127.0.0.1");
        command.env("NETMON_AGENT_SERVER__RETRY_INTERVAL", "500ms");
        command.env("NETMON_AGENT_MONITOR__SAMPLE_INTERVAL", "100ms");
        command.env("NETMON_AGENT_MONITOR__REPORT_INTERVAL", "200ms");
        command.env("NETMON_AGENT_CLIENT__ID", client);
        command
    }

    /// Starts the collector and waits until it is ready.
    #[must_use]
    pub fn start_collector(&self) -> Running {
        let running = Running::start(self.collector(&["run"]), &self.dir().join("c.log"));
        wait_until("the collector", || http::is_ready(HTTP));
        running
    }

    /// Enrols the agent.
    pub fn enroll(&self) {
        let token = done(self.collector(&["token"]).output().unwrap());
        let _report = done(self.agent(&["enroll", token.trim()]).output().unwrap());
    }

    /// Starts the agent.
    #[must_use]
    pub fn start_agent(&self) -> Running {
        Running::start(self.agent(&["run"]), &self.dir().join("a.log"))
    }

    /// Proves the store and returns the bytes and packets received by a NIC.
    #[must_use]
    pub fn stored(&self, nic: &str) -> (u64, u64) {
        let report = done(self.collector(&["fsck"]).output().unwrap());
        let line = report.lines().find(|line| line.starts_with(&format!("host-1 {nic}: ")));
        let line = line.unwrap_or_else(|| panic!("{nic} is not in the store:\n{report}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[3].parse().unwrap(), words[6].parse().unwrap())
    }
}

fn program_from(folder: Option<&Path>, name: &str) -> PathBuf {
    folder.map_or_else(|| program(name), |folder| folder.join(name))
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
