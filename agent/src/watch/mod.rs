//! `agent watch`: measures here and now, without a collector.

mod json;
mod talkers;
mod text;
mod totals;

use std::convert::Infallible;
use std::io::{self, Write};
use std::time::Duration;

use crossbeam_channel::{Receiver, after, never, select};
use globset::{GlobBuilder, GlobMatcher};
use settings::Foreign;
use wire::Packets;
use wire::id::NicName;

use self::totals::WatchSums;
use crate::nic::choose::NicFilter;
use crate::nic::inventory::{InventoryError, NicList};
use crate::owner;
use crate::sampler::verdict::Verdict;
use crate::sampler::{Capture, CaptureConfig, CaptureError, IntervalReport};
use crate::talkers::TalkersReport;

/// Arguments of `agent watch`.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// How traffic is captured.
    pub capture: CaptureConfig,
    /// The NICs to show, by name; empty: those that are captured by default.
    pub nics: Vec<String>,
    /// When to end; `None`: when interrupted.
    pub duration: Option<Duration>,
    /// How samples are printed.
    pub format: SampleFormat,
    /// Also show what the traffic was made of: in every sample (JSON) and in the sums.
    pub mix: bool,
    /// Also print the talkers of every sample.
    pub talkers: bool,
    /// Find out whose their traffic is on this host.
    pub owners: bool,
}

/// How samples are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// One line per sample and NIC for people.
    Text,
    /// One JSON object per sample and NIC, each on its own line.
    Json,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A NIC that isn't there.
    #[error("there is no NIC named {name:?}; this host has {have}")]
    NoSuchNic {
        /// The name given.
        name: String,
        /// The names there are.
        have: String,
    },
    /// No NIC is captured by default.
    #[error("no NIC to capture is up; `agent nics` says why, --nic chooses one")]
    NoNic,
    /// The NICs can't be listed.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No capture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// No thread left.
    #[error("can't find out whose traffic is whose")]
    Owners(#[source] io::Error),
    /// The output is closed or full.
    #[error("can't print the samples")]
    Print(#[from] io::Error),
}

/// Captures and prints until the time is over or `interrupted` closes; the last line has the
/// sums of the whole run.
///
/// # Errors
/// [`WatchError`] if nothing can be captured. An output that is closed or full ends the run.
pub fn watch(
    config: WatchConfig,
    interrupted: &Receiver<Infallible>,
    out: &mut impl Write,
) -> Result<(), WatchError> {
    let WatchConfig { mut capture, nics, duration, format, mix, talkers, owners } = config;
    if mix {
        // However short a sample is, its mix ends with it.
        capture.mix_interval = Duration::from_nanos(1);
    }
    let (mut capture, mut reports) = start(capture, &nics)?;
    if talkers && owners {
        reports = owner::start(reports).map_err(WatchError::Owners)?;
    }
    let mut totals = WatchSums::default();
    let over = duration.map_or_else(never, after);
    let mut printed = match format {
        SampleFormat::Text => text::heading(out),
        SampleFormat::Json => Ok(()),
    };
    let mut stopping = false;
    loop {
        let end = if stopping { never() } else { over.clone() };
        let interrupt = if stopping { never() } else { interrupted.clone() };
        select! {
            recv(reports) -> report => {
                let Ok(report) = report else { break };
                totals.add(&report);
                printed = printed
                    .and_then(|()| print(format, mix, &report, &totals, out))
                    .and_then(|()| if talkers { print_talkers(format, &report, out) } else { Ok(()) });
            }
            recv(end) -> _ => stopping = true,
            recv(interrupt) -> _ => stopping = true,
        }
        if stopping || printed.is_err() {
            stopping = true;
            capture.stop();
        }
    }
    printed.and_then(|()| match format {
        SampleFormat::Text => text::total(&totals, mix, out),
        SampleFormat::Json => json::total(&totals, out),
    })?;
    Ok(())
}

/// Starts to capture the NICs named; without any, those that are captured by default.
///
/// # Errors
/// [`WatchError`] if a NIC isn't there, or nothing can be captured.
pub fn start(
    mut config: CaptureConfig,
    nics: &[String],
) -> Result<(Capture, Receiver<IntervalReport>), WatchError> {
    let names = names(nics)?;
    if !names.is_empty() {
        let only = names.iter().filter_map(|name| exactly(name)).collect();
        config.filter = NicFilter { only, ..NicFilter::default() };
    }
    let (capture, reports) = Capture::start(config)?;
    if capture.nics().borrow().nics.is_empty() {
        return Err(WatchError::NoNic);
    }
    Ok((capture, reports))
}

fn print(
    format: SampleFormat,
    with_mix: bool,
    report: &IntervalReport,
    totals: &WatchSums,
    out: &mut impl Write,
) -> io::Result<()> {
    let mix = |nic: NicName| report.mixes.iter().find(|mix| with_mix && mix.nic == nic);
    for sample in &report.samples {
        let lost = totals.nics.get(&sample.nic).map_or(Packets(0), |total| total.drops);
        let verdict = Verdict::of_flags(sample.flags, lost);
        match format {
            SampleFormat::Text => text::sample(sample, verdict, out)?,
            SampleFormat::Json => json::sample(sample, verdict, mix(sample.nic), out)?,
        }
    }
    out.flush()
}

fn print_talkers(
    format: SampleFormat,
    report: &IntervalReport,
    out: &mut impl Write,
) -> io::Result<()> {
    for TalkersReport { record, .. } in &report.talkers {
        match format {
            SampleFormat::Text => talkers::text(record, out)?,
            SampleFormat::Json => talkers::json(record, &json::time(record.start_ns), out)?,
        }
    }
    out.flush()
}

/// A glob that matches this name only.
fn exactly(name: &str) -> Option<GlobMatcher> {
    let name = globset::escape(name);
    let glob = GlobBuilder::new(&name).backslash_escape(false).build();
    Some(glob.ok()?.compile_matcher())
}

/// The NICs that are named as they are, or as they are shown.
fn names(given: &[String]) -> Result<Vec<String>, WatchError> {
    let links = NicList::open()?.links()?;
    let have: Vec<String> = links.iter().map(|link| link.name.to_string()).collect();
    let find = |given: &String| {
        let found = have.iter().find(|name| *name == given || Foreign(name).to_string() == *given);
        found
            .cloned()
            .ok_or_else(|| WatchError::NoSuchNic { name: given.clone(), have: have.join(", ") })
    };
    given.iter().map(find).collect()
}
