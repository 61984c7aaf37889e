//! Arguments of `collector export`.

use std::path::PathBuf;

use clap::Args;
use settings::ConfigError;
use wire::WallNs;

use super::values::time;
use crate::export::{ExportFormat, ExportRequest};
use crate::time::Time;

/// Arguments of `collector export`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example: collector export --client web-1 --nic eth0 --from 2026-11-01T00:00:00Z \
                  --output web-1.csv\n\nThe columns are those of bandwidth_stats. A line of kind \
                  gap stands for missing samples; gap_reason says why. It has exact sums over its \
                  time, or empty cells where nothing was measured (unmeasured) or nothing is \
                  known. A gap of reason misdated is one sample whose date is too far off.\n\n\
                  With --talkers, a line is a talker of one minute (or of a sample that broke a \
                  threshold: kind moment), NIC and direction, or the rest that is not listed; \
                  together they are what the NIC carried."
)]
pub struct ExportArgs {
    /// Client to export
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// Only this NIC
    #[arg(long, value_name = "NAME")]
    pub nic: Option<String>,
    /// Start: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Time>,
    /// End, not included
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Time>,
    /// Export who had the traffic, instead of how much there was
    #[arg(long)]
    pub talkers: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Write texts into CSV unchanged. By default, a text that a spreadsheet would run as a formula
    /// (=, +, -, @, tab) gets a ' in front, and hidden characters are escaped
    #[arg(long)]
    pub raw: bool,
    /// Write to FILE instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl ExportArgs {
    /// What is asked for.
    ///
    /// # Errors
    /// The range is empty.
    pub fn request(&self) -> Result<ExportRequest, ConfigError> {
        let Self { client, nic, from, to, talkers, format, raw, .. } = self.clone();
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(ConfigError::Key {
                place: "the command line".to_owned(),
                key: "--from".to_owned(),
                why: format!("{from} must be before --to, {to}"),
            });
        }
        let (from_ns, to_ns) =
            (from.map_or(WallNs(0), |it| it.0), to.map_or(WallNs::MAX, |it| it.0));
        Ok(ExportRequest { client, nic, from_ns, to_ns, talkers, format, raw })
    }
}
