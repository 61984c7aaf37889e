//! Logs on the standard error: text for people, lines for the journal, JSON for everything else.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;

use crate::sections::{Log, LogFormat};

/// Starts to log as the config says. The first call counts.
pub fn start_log(log: &Log) {
    let builder =
        SubscriberBuilder::default().with_writer(io::stderr).with_env_filter(log.level.filter());
    // Fails if logging was started before: then that goes on.
    let _already = match choose(log.format, Output::of_stderr()) {
        Style::Colour => builder.with_ansi(true).compact().try_init(),
        Style::Text => builder.with_ansi(false).compact().try_init(),
        Style::Journal => builder.with_ansi(false).event_format(journal()).try_init(),
        Style::Json => builder.with_ansi(false).json().flatten_event(true).try_init(),
    };
}

/// Where the standard error leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// To a terminal, which may be coloured or not.
    Terminal { colour: bool },
    /// To systemd's journal.
    Journal,
    /// To a file or a pipe.
    Other,
}

impl Output {
    fn of_stderr() -> Self {
        if io::stderr().is_terminal() {
            let colour = env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
            Self::Terminal { colour }
        } else if leads_to_journal().unwrap_or(false) {
            Self::Journal
        } else {
            Self::Other
        }
    }
}

/// `JOURNAL_STREAM` names device and inode of the journal's stream: a child whose standard error
/// was redirected inherits the variable, but not the stream.
fn leads_to_journal() -> Option<bool> {
    let stream = env::var("JOURNAL_STREAM").ok()?;
    let stderr = fs::metadata("/dev/stderr").ok()?;
    Some(stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Colour,
    Text,
    Journal,
    Json,
}

const fn choose(format: LogFormat, output: Output) -> Style {
    match (format, output) {
        (LogFormat::Json, _) | (LogFormat::Auto, Output::Other) => Style::Json,
        (_, Output::Journal) => Style::Journal,
        (_, Output::Terminal { colour: true }) => Style::Colour,
        (_, Output::Terminal { colour: false }) | (LogFormat::Text, Output::Other) => Style::Text,
    }
}

/// Lines as the journal takes them: it has the time itself, and reads the level from a prefix
/// (sd-daemon(3)), so that `journalctl -p warning` works.
struct JournalLine(Format<Compact, ()>);

fn journal() -> JournalLine {
    JournalLine(Format::default().compact().without_time().with_level(false).with_ansi(false))
}

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The syslog priority of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_line_for_the_journal_starts_with_its_priority_and_has_no_time_or_colour() {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = SubscriberBuilder::default()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(journal())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(nic = "eth0", "the ring ran full");
            tracing::info!("started");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("<4>settings::log::tests: "), "{written}");
        assert!(lines[0].contains("the ring ran full") && lines[0].contains("nic=\"eth0\""));
        assert!(lines[1].starts_with("<6>") && lines[1].ends_with("started"), "{written}");
    }

    #[test]
    fn people_get_text_the_journal_lines_and_everything_else_json() {
        let terminal = Output::Terminal { colour: true };
        let plain = Output::Terminal { colour: false };
        assert_eq!(choose(LogFormat::Auto, terminal), Style::Colour);
        assert_eq!(choose(LogFormat::Auto, plain), Style::Text);
        assert_eq!(choose(LogFormat::Auto, Output::Journal), Style::Journal);
        assert_eq!(choose(LogFormat::Auto, Output::Other), Style::Json);
        assert_eq!(choose(LogFormat::Text, Output::Other), Style::Text);
        assert_eq!(choose(LogFormat::Json, terminal), Style::Json);
    }
}
