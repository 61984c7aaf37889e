//! `agent top`: a live view of this host's NICs on the full screen, without a collector.

mod draw;
mod state;
mod talkers;

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, select};
use settings::terminal::{Input, Screen, ScreenError, events};

use self::state::State;
use crate::owner;
use crate::sampler::{CaptureConfig, TalkersConfig};
use crate::talkers::moment::Thresholds;
use crate::watch::{self, WatchError};

/// Shortest mix interval: faster changes can't be read.
const MIX_MIN: Duration = Duration::from_secs(2);

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// No screen to draw on, or to listen to.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// Nothing can be captured.
    #[error(transparent)]
    Watch(#[from] WatchError),
}

/// Captures the NICs named, or those captured by default, and shows them until `q`, or until
/// `interrupted` closes. `owners`: finds out whose the traffic of talkers is on this host.
///
/// # Errors
/// [`TopError`] if nothing can be captured or there is no terminal.
pub fn top(
    mut config: CaptureConfig,
    nics: &[String],
    owners: bool,
    interrupted: &Receiver<Infallible>,
) -> Result<(), TopError> {
    config.mix_interval = config.sample_interval.max(MIX_MIN);
    config.talkers = config.talkers.map(|it| TalkersConfig { on: Thresholds::EVERY, ..it });
    let mut state = State::new(config.sample_interval, config.talkers.is_some());
    let (capture, mut reports) = watch::start(config, nics)?;
    if owners {
        reports = owner::start(reports).map_err(WatchError::Owners)?;
    }
    let mut screen = Screen::open("`agent watch` prints to files and pipes")?;
    let events = events()?;
    loop {
        state.set_nics(&capture.nics().borrow());
        screen.draw(|frame| draw::draw(&state, frame))?;
        select! {
            recv(reports) -> report => match report {
                Ok(report) => {
                    state.add(&report);
                    state.add_talkers(&report);
                }
                Err(_) => break,
            },
            recv(events) -> event => match event.map(|event| Input::of(&event)) {
                Ok(Some(Input::Quit | Input::Back)) | Err(_) => break,
                Ok(Some(input)) => state.input(input),
                // Usually the size changed: draw again.
                Ok(None) => {}
            },
            recv(interrupted) -> _ => break,
        }
    }
    // Readers end by themselves; nobody takes the last reports.
    drop(reports);
    drop(capture);
    Ok(())
}
