//! HTTP requests to the collector.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::patience::PATIENCE;

/// Default address of the collector.
pub const HTTP: &str = "127.0.0.1:8083";

/// The answer to a request, including the status line; `None` without an answer.
#[must_use]
pub fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// True once the collector is ready.
#[must_use]
pub fn is_ready(address: &str) -> bool {
    get(address, "/readyz").is_some_and(|answer| answer.contains(" 200 "))
}

/// Value of a metric of the collector, summed over its labels; 0 without an answer.
#[must_use]
pub fn metric(address: &str, name: &str) -> f64 {
    let text = get(address, "/metrics").unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
