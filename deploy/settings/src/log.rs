//! Logs on the standard error: text for people, lines for the journal, JSON for everything else.
//! Foreign text is made visible in all of them (see [`Foreign`](crate::Foreign)): an event is one line,
//! and no name in it controls a terminal. Each text is cut at 4 KiB with a note of the length cut, and
//! tokens are always masked. Panics are logged as events too.

mod json;

use std::env;
use std::fmt::{self, Debug, Write as _};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;

use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{
    Compact, Format, FormatEvent, FormatFields, Writer, debug_fn,
};
use tracing_subscriber::fmt::{FmtContext, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;

use self::json::JsonLine;
use crate::foreign::{Escaping, Excerpt};
use crate::sections::{Log, LogFormat};

/// Formats fields of an event or span as text. A macro, because the type can't be named.
macro_rules! visible_fields {
    () => {
        debug_fn(write_field).delimited(" ")
    };
}

/// Changes what is logged.
type SetFilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Changes the running log.
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Starts logging as configured. Only the first call has an effect.
pub fn start_log(log: &Log) {
    /// Starts it with a filter that can be changed.
    macro_rules! start {
        ($builder:expr) => {{
            let builder = $builder.with_filter_reloading();
            let handle = builder.reload_handle();
            // Fails if logging was started before, which then continues.
            if builder.try_init().is_ok() {
                let set = move |filter| drop(handle.reload(filter));
                let _first = SET_FILTER.set(Box::new(set));
                panic::set_hook(Box::new(log_panic));
            }
        }};
    }
    // Ignore write errors: reporting them would panic on the same full disk.
    let builder = SubscriberBuilder::default()
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .with_env_filter(log.level.filter());
    let style = choose(log.format, Output::of_stderr());
    if style == Style::Json {
        start!(builder.event_format(JsonLine));
        return;
    }
    let builder = builder.with_ansi(style == Style::Colour).fmt_fields(visible_fields!());
    match style {
        Style::Journal => start!(builder.event_format(journal())),
        _ => start!(builder.compact()),
    }
}

/// Changes the level of the running log; its format stays.
pub fn set_log_level(log: &Log) {
    if let Some(set) = SET_FILTER.get() {
        set(log.level.filter());
    }
}

/// Writes the message unchanged, and other fields with their names.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => {}
        name if writer.has_ansi_escapes() => {
            write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
        }
        name => write!(writer, "{name}=")?,
    }
    Escaping(writer).write_str(&Excerpt::of(format_args!("{value:?}")))
}

/// Logs a panic as an event. Its text, possibly a peer's, would otherwise be printed raw.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    let text = payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no text");
    let at = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(at, thread = thread.name(), "panicked: {text}");
}

/// Target of the standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// A terminal, with or without colours.
    Terminal { colour: bool },
    /// systemd's journal.
    Journal,
    /// A file or a pipe.
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

/// `JOURNAL_STREAM` names device and inode of the journal's stream. A child with redirected standard
/// error inherits the variable, but not the stream.
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

/// Lines for the journal, which adds the time and reads the level from a prefix (sd-daemon(3)), so that
/// `journalctl -p warning` works.
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

    impl Lines {
        fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
            let lines = self.clone();
            move || lines.clone()
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_line_for_the_journal_starts_with_its_priority_and_has_no_time_or_colour() {
        let lines = Lines::default();
        let subscriber = SubscriberBuilder::default()
            .with_writer(lines.writer())
            .with_ansi(false)
            .fmt_fields(visible_fields!())
            .event_format(journal())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(nic = "eth0", "the ring ran full");
            tracing::info!("started");
        });
        let written = lines.text();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("<4>settings::log::tests: "), "{written}");
        assert!(lines[0].ends_with("the ring ran full nic=\"eth0\""), "{written}");
        assert!(lines[1].starts_with("<6>") && lines[1].ends_with("started"), "{written}");
    }

    #[test]
    fn an_event_is_one_line_whatever_others_wrote_into_it() {
        let hostile = "a\u{1b}[2J\u{9b}m\n<0>forged\u{202e}\u{200b}b";
        let shown = "a\\u001b[2J\\u009bm\\u000a<0>forged\\u202e\\u200bb";
        let tell = || {
            tracing::warn!(error = %hostile, text = hostile, debug = ?Some(hostile), "{hostile}");
        };
        let builder = || SubscriberBuilder::default().with_ansi(false);
        let text = Lines::default();
        let visible = builder().with_writer(text.writer()).fmt_fields(visible_fields!());
        tracing::subscriber::with_default(visible.event_format(journal()).finish(), tell);
        let text = text.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(text.matches(shown).count(), 2, "{text}");
        assert!(text.trim_end().chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text}");

        let json = Lines::default();
        let writer = builder().with_writer(json.writer()).event_format(JsonLine);
        tracing::subscriber::with_default(writer.finish(), tell);
        let json = json.text();
        assert!(json.trim_end().chars().all(|c| c.is_ascii_graphic() || c == ' '), "{json}");
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&object["message"], &object["error"]), (&hostile.into(), &hostile.into()));
    }

    /// The output in each format: on a terminal with and without colours, for the journal, as JSON.
    fn in_each_format(tell: impl Fn()) -> [String; 4] {
        /// One of them.
        macro_rules! log {
            ($ansi:literal, $builder:ident => $formatted:expr) => {{
                let lines = Lines::default();
                let $builder = SubscriberBuilder::default()
                    .with_writer(lines.writer())
                    .with_ansi($ansi)
                    .fmt_fields(visible_fields!());
                tracing::subscriber::with_default($formatted.finish(), &tell);
                lines.text()
            }};
        }
        [
            log!(true, it => it.compact()),
            log!(false, it => it.compact()),
            log!(false, it => it.event_format(journal())),
            log!(false, it => it.event_format(JsonLine)),
        ]
    }

    #[test]
    fn a_message_of_a_megabyte_is_a_short_line_in_every_format_and_says_what_was_cut() {
        let long = "\u{1b}<4>".repeat(1 << 18);
        let tell = || {
            tracing::warn!(error = %long, text = long, debug = ?Some(&long), number = 7, "{long}");
        };
        for line in in_each_format(tell) {
            assert!(line.len() < 20_000 && line.lines().count() == 1, "{}", line.len());
            assert_eq!(line.matches(" bytes more]").count(), 4, "{line}");
        }
    }

    #[test]
    fn a_token_is_masked_in_every_format_wherever_it_came_from() {
        let token = format!("nmt1_{}", "A".repeat(90));
        let tell = || tracing::warn!(client = token, error = %token, debug = ?[&token], "{token}");
        for line in in_each_format(tell) {
            assert_eq!(line.matches("nmt1_***").count(), 4, "{line}");
            assert!(!line.contains("AAAA"), "{line}");
        }
    }

    #[test]
    fn json_has_time_level_fields_and_target_and_numbers_stay_numbers() {
        let [.., json] = in_each_format(|| {
            tracing::info!(target: "audit", nic = "eth\"0", drops = 7_u64, rate = 0.5, up = true, "it");
        });
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        let at = object["timestamp"].as_str().unwrap();
        assert!(at.len() == "2026-11-26T00:16:10.123456Z".len() && at.ends_with('Z'), "{at}");
        let known = serde_json::json!({
            "timestamp": at, "level": "INFO", "message": "it", "nic": "eth\"0", "drops": 7,
            "rate": 0.5, "up": true, "target": "audit"
        });
        assert_eq!(object, known);
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
