//! A full screen on the terminal: opens it, reads keys, and restores the terminal.

mod keys;
mod parts;

use std::io::{self, IsTerminal};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event;

pub use self::keys::{Input, Typed};
pub use self::parts::{Detail, RX, TX, draw_head, draw_keys, figure, page, right, trend, unknown};
pub use ratatui::crossterm::event::Event;

/// Number of keys that may wait.
const WAITING: usize = 16;

/// Why the full screen is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The output goes to a file or pipe.
    #[error("this needs a terminal; {instead}")]
    NoTerminal {
        /// The alternative.
        instead: &'static str,
    },
    /// The terminal returns an error.
    #[error("can't use the terminal")]
    System(#[from] io::Error),
    /// The terminal can't be read.
    #[error("can't listen to the terminal")]
    Input(#[source] io::Error),
}

/// The terminal as a full screen, restored on drop, also after a panic.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes over the terminal. `instead` names the alternative without one.
    ///
    /// # Errors
    /// [`ScreenError`] if the output is no terminal, or it can't be set up.
    pub fn open(instead: &'static str) -> Result<Self, ScreenError> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(ScreenError::NoTerminal { instead });
        }
        Ok(Self { terminal: ratatui::try_init()? })
    }

    /// Draws the whole screen; writes only what has changed.
    ///
    /// # Errors
    /// [`ScreenError::System`] if the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> Result<(), ScreenError> {
        self.terminal.draw(draw)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Reads the terminal from now on: keys, and changes of its size. The channel closes when the terminal
/// is gone.
///
/// # Errors
/// [`ScreenError::Input`] if the system provides no thread.
pub fn events() -> Result<Receiver<Event>, ScreenError> {
    let (sender, receiver) = bounded(WAITING);
    let listener = thread::Builder::new().name("terminal".into()).spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(event).is_err() {
                break;
            }
        }
    });
    listener.map_err(ScreenError::Input)?;
    Ok(receiver)
}
