//! Meanings of keys, the same on every screen.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Meaning of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// `q` or Ctrl-C.
    Quit,
    /// Escape: ends a search or filter, or else quits.
    Back,
    /// Arrow up or `k`.
    Up,
    /// Arrow down or `j`.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home or `g`.
    First,
    /// End or `G`.
    Last,
    /// Enter.
    Open,
    /// Space.
    Pause,
    /// `s`.
    Sort,
    /// `r`.
    Reverse,
    /// `/`.
    Search,
}

/// Meaning of a key while text is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    /// One more character.
    Char(char),
    /// Backspace.
    Erase,
    /// Enter.
    Done,
    /// Escape.
    Cancel,
    /// Ctrl-C.
    Quit,
}

/// The key pressed, if the event is one.
fn pressed(event: &Event) -> Option<KeyEvent> {
    event.as_key_event().filter(|key| key.kind != KeyEventKind::Release)
}

fn is_interrupt(key: &KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

impl Input {
    /// Meaning of a key, if it has one.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let key = pressed(event)?;
        Some(match key.code {
            _ if is_interrupt(&key) => Self::Quit,
            KeyCode::Char('q') => Self::Quit,
            KeyCode::Esc => Self::Back,
            KeyCode::Up | KeyCode::Char('k') => Self::Up,
            KeyCode::Down | KeyCode::Char('j') => Self::Down,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home | KeyCode::Char('g') => Self::First,
            KeyCode::End | KeyCode::Char('G') => Self::Last,
            KeyCode::Enter => Self::Open,
            KeyCode::Char(' ') => Self::Pause,
            KeyCode::Char('s') => Self::Sort,
            KeyCode::Char('r') => Self::Reverse,
            KeyCode::Char('/') => Self::Search,
            _ => return None,
        })
    }
}

impl Typed {
    /// Meaning of a key, if it has one.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let key = pressed(event)?;
        match key.code {
            _ if is_interrupt(&key) => Some(Self::Quit),
            KeyCode::Char(typed) => Some(Self::Char(typed)),
            KeyCode::Backspace => Some(Self::Erase),
            KeyCode::Enter => Some(Self::Done),
            KeyCode::Esc => Some(Self::Cancel),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn keys_mean_what_people_expect() {
        let input = |code| Input::of(&key(code, KeyModifiers::NONE));
        assert_eq!(input(KeyCode::Char('q')), Some(Input::Quit));
        assert_eq!(input(KeyCode::Esc), Some(Input::Back));
        assert_eq!(input(KeyCode::Char('c')), None);
        assert_eq!(input(KeyCode::Char('j')), Some(Input::Down));
        let interrupt = key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(Input::of(&interrupt), Some(Input::Quit));
        assert_eq!(Input::of(&Event::Resize(80, 24)), None);
    }

    #[test]
    fn while_text_is_typed_letters_are_letters() {
        let typed = |code| Typed::of(&key(code, KeyModifiers::NONE));
        assert_eq!(typed(KeyCode::Char('q')), Some(Typed::Char('q')));
        assert_eq!(typed(KeyCode::Esc), Some(Typed::Cancel));
        assert_eq!(typed(KeyCode::Up), None);
        let interrupt = key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(Typed::of(&interrupt), Some(Typed::Quit));
    }
}
