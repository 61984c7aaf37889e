//! A full screen on the terminal: opened, listened to, and given back as it was found.

use std::io::{self, IsTerminal};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

/// Keys that may wait to be looked at.
const WAITING: usize = 16;

/// Heights of a trend's columns, from nothing up.
const COLUMNS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Why there is no full screen.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The output goes to a file or pipe.
    #[error("this needs a terminal; {instead}")]
    NoTerminal {
        /// What to use instead.
        instead: &'static str,
    },
    /// The terminal refuses.
    #[error("can't use the terminal: {0}")]
    System(#[from] io::Error),
}

/// What came from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// `q`, Escape or Ctrl-C.
    Quit,
    /// Arrow up or `k`.
    Up,
    /// Arrow down or `j`.
    Down,
    /// Space.
    Pause,
    /// `s`.
    Sort,
    /// The terminal has another size now.
    Resized,
}

impl Input {
    fn of(event: &Event) -> Option<Self> {
        let Event::Key(key) = event else {
            return matches!(event, Event::Resize(..)).then_some(Self::Resized);
        };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            _ if key.kind == KeyEventKind::Release => None,
            KeyCode::Char('c') if control => Some(Self::Quit),
            KeyCode::Char('q') | KeyCode::Esc => Some(Self::Quit),
            KeyCode::Up | KeyCode::Char('k') => Some(Self::Up),
            KeyCode::Down | KeyCode::Char('j') => Some(Self::Down),
            KeyCode::Char(' ') => Some(Self::Pause),
            KeyCode::Char('s') => Some(Self::Sort),
            _ => None,
        }
    }
}

/// The terminal as a full screen until dropped, also by a panic.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal over. `instead` says what to use where there is none.
    ///
    /// # Errors
    /// [`ScreenError`] if the output is no terminal, or it can't be set up.
    pub fn open(instead: &'static str) -> Result<Self, ScreenError> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(ScreenError::NoTerminal { instead });
        }
        Ok(Self { terminal: ratatui::try_init()? })
    }

    /// Draws all of it anew; only what has changed is written.
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

/// Listens to the terminal from now on. The channel closes when the terminal is gone.
///
/// # Errors
/// What the system says.
pub fn inputs() -> io::Result<Receiver<Input>> {
    let (sender, receiver) = bounded(WAITING);
    thread::Builder::new().name("terminal".into()).spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(input) = Input::of(&event)
                && sender.send(input).is_err()
            {
                break;
            }
        }
    })?;
    Ok(receiver)
}

/// Figures as a row of columns, the newest at the right, as high as the highest of them needs.
#[must_use]
pub fn trend(figures: &[u64], width: usize) -> String {
    let shown = &figures[figures.len().saturating_sub(width)..];
    let highest = shown.iter().copied().max().unwrap_or(0).max(1);
    let steps = COLUMNS.len() - 1;
    let column = |figure: &u64| {
        let share = u128::from(*figure) * steps as u128;
        // Something is never shown as nothing.
        let height = usize::try_from(share.div_ceil(u128::from(highest))).unwrap_or(steps);
        COLUMNS[height.min(steps)]
    };
    let columns: String = shown.iter().map(column).collect();
    format!("{columns:>width$}")
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn a_trend_is_as_high_as_its_highest_and_something_is_never_nothing() {
        assert_eq!(trend(&[0, 1, 50, 100], 6), "   ▁▄█");
        assert_eq!(trend(&[7, 0, 0, 9, 9], 2), "██");
        assert_eq!(trend(&[u64::MAX, 0], 2), "█ ");
        assert_eq!(trend(&[], 3), "   ");
    }

    #[test]
    fn keys_mean_what_people_expect() {
        let key = |code, modifiers| Input::of(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Char('j'), KeyModifiers::NONE), Some(Input::Down));
        assert_eq!(Input::of(&Event::Resize(80, 24)), Some(Input::Resized));
        assert_eq!(Input::of(&Event::FocusLost), None);
    }
}
