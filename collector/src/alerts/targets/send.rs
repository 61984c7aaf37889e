//! What all kinds of targets need: their words, their secrets, and why a message was not taken.

use std::borrow::Cow;
use std::path::Path;

use settings::Problem;

use super::super::config::TargetSection;
use super::super::message::MessageFacts;
use super::super::template::Template;
use crate::secret_file;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may be taken later.
    #[error("{0}")]
    Later(String),
    /// The target refuses it: only a change of the config or of the target helps.
    #[error("{0}")]
    Refused(String),
}

/// The keys of a target, for messages about them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a>(pub &'a str);

impl Keys<'_> {
    pub fn of(self, key: &str) -> Cow<'static, str> {
        Cow::Owned(format!("alerts.targets.{}.{key}", self.0))
    }

    /// A problem with a key.
    pub fn problem(self, key: &str, why: impl Into<String>) -> Problem {
        Problem::new(self.of(key), why)
    }
}

/// Title and text of messages that people read.
#[derive(Debug)]
pub(super) struct Wording {
    title: Template,
    text: Template,
}

impl Wording {
    pub fn of(section: &TargetSection, keys: Keys<'_>) -> Result<Self, Problem> {
        let read = |key: &str, given: &Option<String>, default: &str| {
            let template = Template::text(given.as_deref().unwrap_or(default));
            let template = template.map_err(|why| keys.problem(key, why))?;
            template.render(&MessageFacts::example()).map_err(|why| keys.problem(key, why))?;
            Ok::<_, Problem>(template)
        };
        Ok(Self {
            title: read("title", &section.title, "{{ state }}: {{ title }}")?,
            text: read("text", &section.text, "{{ text }}{% if link %}\n{{ link }}{% endif %}")?,
        })
    }

    /// Title and text. The title is one line, whatever hosts are called.
    pub fn render(&self, facts: &MessageFacts) -> Result<(String, String), SendError> {
        let title = self.title.render(facts).map_err(SendError::Refused)?;
        let text = self.text.render(facts).map_err(SendError::Refused)?;
        Ok((title.split_whitespace().collect::<Vec<_>>().join(" "), text))
    }
}

/// The first line of a file with a secret. Read for each message, so that a new one counts at once.
pub(super) fn secret(file: &Path) -> Result<String, SendError> {
    secret_file::first_line(file, "write the secret to it").map_err(SendError::Later)
}
