//! The metrics of clients in the text format of Prometheus.

use std::fmt::{self, Display, Write};

use super::clients::{CLIENT_METRICS, MetricValue};
use super::tags::TagLabels;
use crate::live::ClientView;

/// Adds every series of the clients.
pub(super) fn render_clients(text: &mut String, clients: &[ClientView], tags: &TagLabels) {
    let owners: Vec<String> = clients.iter().map(|client| owner(client, tags)).collect();
    for metric in &CLIENT_METRICS {
        let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
        put(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (client, owner) in clients.iter().zip(&owners) {
            metric.each_point(client, client.shown_nics(), |point| {
                put(text, format_args!("{name}{{{owner}"));
                if let Some(nic) = point.nic {
                    put(text, format_args!(",nic=\"{}\"", Label(&nic.nic)));
                }
                if let Some(direction) = point.direction {
                    put(text, format_args!(",direction=\"{}\"", direction.name()));
                }
                put(text, format_args!("}} {}\n", point.value));
            });
        }
    }
}

/// The labels of a client, which all of its series have.
fn owner(client: &ClientView, tags: &TagLabels) -> String {
    let mut text = format!("client=\"{}\"", Label(&client.client));
    for (name, value) in tags.of(&client.tags) {
        put(&mut text, format_args!(",{name}=\"{}\"", Label(value)));
    }
    text
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _always = text.write_fmt(what);
}

impl Display for MetricValue {
    /// Exactly, also fractions of a second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Nanoseconds(ns) => {
                let sign = if *ns < 0 { "-" } else { "" };
                let ns = ns.unsigned_abs();
                write!(f, "{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
            }
        }
    }
}

/// The value of a label, escaped.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}
