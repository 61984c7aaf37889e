//! The honest agent that speaks QUIC with aioquic.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::python::python;
use crate::patience::{wait_for, wait_until};
use crate::site::Site;

/// Longest time to deliver the remaining reports.
const PATIENCE: Duration = Duration::from_secs(90);

/// The running agent.
#[derive(Debug)]
pub(super) struct Honest {
    child: Child,
    said: Arc<Mutex<Said>>,
    reader: JoinHandle<()>,
}

/// The output of the agent so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    ready: bool,
    /// Its reports.
    pub reports: Vec<Report>,
    /// Committed bytes, known at the end.
    pub bytes: u64,
}

/// A report of the agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// When it was made, on the clock of [`super::python::now`].
    pub made: f64,
    /// Milliseconds until it was known to be committed, or given up.
    pub took_ms: f64,
    /// True if it was given up.
    pub never: bool,
}

impl Honest {
    /// Starts the agent and waits until it is welcomed.
    pub fn start(site: &Site) -> Self {
        let mut command = python("honest.py");
        command.args(["127.0.0.1", "8082"]).arg(site.identity()).arg("honest");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = Arc::<Mutex<Said>>::default();
        let hearing = said.clone();
        let reader = std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| hearing.lock().unwrap().hear(&line));
        });
        wait_until("the honest agent", || said.lock().unwrap().ready);
        Self { child, said, reader }
    }

    /// Waits until everything is delivered and returns the agent's output.
    pub fn end(mut self) -> Said {
        drop(self.child.stdin.take());
        wait_for("the honest agent's end", PATIENCE, || self.reader.is_finished());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the honest agent: {status}");
        std::mem::take(&mut *self.said.lock().unwrap())
    }
}

impl Said {
    fn hear(&mut self, line: &str) {
        match *line.split(' ').collect::<Vec<_>>().as_slice() {
            ["ready"] => self.ready = true,
            ["again", ..] => {}
            ["end", _, bytes] => self.bytes = bytes.parse().unwrap(),
            [made, took, ref rest @ ..] => self.reports.push(Report {
                made: made.parse().unwrap(),
                took_ms: took.parse().unwrap(),
                never: rest == ["never"],
            }),
            _ => panic!("the honest agent says {line:?}"),
        }
    }
}
