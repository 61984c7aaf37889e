//! How soon a page shows a sample: one reader of `/api/v1/live`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

/// A running reader.
pub struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

/// Records for each new sample of a client how long after its end it arrived.
#[must_use]
pub fn listen(address: &'static str, client: String) -> Listening {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || read(address, &client, &stopped).unwrap_or_default());
    Listening { stop, thread }
}

impl Listening {
    /// Stops and returns the milliseconds of each sample.
    #[must_use]
    pub fn stop(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn read(address: &str, client: &str, stop: &AtomicBool) -> std::io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /api/v1/live?client={client} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let (mut latencies, mut line) = (Vec::new(), String::new());
    let mut stream = BufReader::new(stream);
    while !stop.load(Ordering::Relaxed) {
        line.clear();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        let arrived = Timestamp::now();
        let ms = |end| arrived.duration_since(end).as_secs_f64() * 1000.0;
        latencies.extend(sample_ends(&line).into_iter().map(ms));
    }
    Ok(latencies)
}

/// The ends of the samples in a line of the stream; empty for other events.
fn sample_ends(line: &str) -> Vec<Timestamp> {
    let data = line.strip_prefix("data: ").and_then(|json| serde_json::from_str(json).ok());
    let data: serde_json::Value = data.unwrap_or_default();
    let end = |sample: &serde_json::Value| {
        let start: Timestamp = sample["time"].as_str()?.parse().ok()?;
        start.checked_add(Duration::from_nanos(sample["interval_ns"].as_u64()?)).ok()
    };
    data["samples"].as_array().into_iter().flatten().filter_map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_all_samples_of_an_event_are_found() {
        let event = r#"data: {"now":"2026-11-24T00:00:01Z","samples":[
            {"nic":"eth0","time":"2026-11-24T00:00:00Z","interval_ns":500000000},
            {"nic":"eth0","time":"2026-11-24T00:00:00.5Z","interval_ns":500000000}]}"#;
        let ends: Vec<String> = sample_ends(event).iter().map(ToString::to_string).collect();
        assert_eq!(ends, ["2026-11-24T00:00:00.5Z", "2026-11-24T00:00:01Z"]);
        assert!(sample_ends("event: samples").is_empty());
        assert!(sample_ends(r#"data: {"now":"2026-11-24T00:00:01Z","client":null}"#).is_empty());
    }
}
