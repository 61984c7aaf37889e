//! An event as one JSON object on a line, with bounded texts.

use std::fmt::{self, Debug, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::foreign::{Escaping, Excerpt};

/// Time, level, the fields in order, and the target. Escapes decode to the original characters.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let (level, target) = (event.metadata().level(), event.metadata().target());
        let mut fields = Fields { json: String::new(), target: target.to_owned() };
        event.record(&mut fields);
        let Fields { json, target } = fields;
        let target = Value::from(target);
        write!(
            Escaping(&mut writer),
            r#"{{"timestamp":"{time}","level":"{level}"{json},"target":{target}}}"#
        )?;
        writeln!(writer)
    }
}

/// Fields, each after a comma.
struct Fields {
    json: String,
    /// Source of the event. Libraries that use `log` name it in a field.
    target: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        let value = value.into();
        match (field.name(), value) {
            ("log.target", Value::String(target)) => self.target = target,
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                let name = Value::from(name.trim_start_matches("r#"));
                // Writing to a String can't fail.
                let _ = write!(self.json, ",{name}:{value}");
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Excerpt::of(format_args!("{value}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, Excerpt::of(format_args!("{value:?}")));
    }
}
