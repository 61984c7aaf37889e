//! How soon a page shows what was sampled: one reader of `/api/v1/live`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

/// A reader at work.
pub struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

/// Notes for each new sample of a client how long after its end it arrived.
#[must_use]
pub fn listen(address: &'static str, client: String) -> Listening {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || read(address, &client, &stopped).unwrap_or_default());
    Listening { stop, thread }
}

impl Listening {
    /// Milliseconds of each sample.
    #[must_use]
    pub fn stop(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn read(address: &str, client: &str, stop: &AtomicBool) -> std::io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /api/v1/live HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let (mut latencies, mut last, mut line) = (Vec::new(), None, String::new());
    let mut stream = BufReader::new(stream);
    let mark = format!("\"client\":\"{client}\"");
    while !stop.load(Ordering::Relaxed) {
        line.clear();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        let arrived = Timestamp::now();
        let Some(end) = line.split_once(&mark).and_then(|(_, rest)| sample_end(rest)) else {
            continue;
        };
        if last.replace(end).is_some_and(|last| last != end) {
            latencies.push(arrived.duration_since(end).as_secs_f64() * 1000.0);
        }
    }
    Ok(latencies)
}

/// The end of the first sample in the JSON of a client.
fn sample_end(json: &str) -> Option<Timestamp> {
    let sample = json.split_once("\"sample\":{")?.1;
    let time = sample.split_once("\"time\":\"")?.1.split('"').next()?;
    let interval = sample.split_once("\"interval_ns\":")?.1;
    let interval = interval.split(|c: char| !c.is_ascii_digit()).next()?;
    let start: Timestamp = time.parse().ok()?;
    start.checked_add(Duration::from_nanos(interval.parse().ok()?)).ok()
}
