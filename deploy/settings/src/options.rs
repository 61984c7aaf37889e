//! The flags of every command of both programs.

use std::path::PathBuf;

use clap::Args;

use crate::layers::Given;

/// Flags before or after any command.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Read the config from FILE; default: the file in /etc/network-monitor
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Log at LEVEL: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Keep state in DIR
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Options {
    /// The config values given by flags.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        let level = self.log_level.clone().map(|value| Given {
            origin: "--log-level".into(),
            key: "log.level",
            value,
        });
        let data_dir = self.data_dir.as_ref().map(|dir| Given {
            origin: "--data-dir".into(),
            key: "data_dir",
            value: dir.display().to_string(),
        });
        level.into_iter().chain(data_dir).collect()
    }
}
