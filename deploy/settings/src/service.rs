//! A service's life: ready, watched, reloaded, stopped. Signals as systemd and terminals send
//! them, and systemd's notifications (sd_notify(3)), which go nowhere without it.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::reload::Reloaded;

/// Pings of the watchdog without one to ask for them: alive is checked all the same.
const CHECK: Duration = Duration::from_secs(5);

/// A service that has not stopped after this time is killed. Its files survive that.
const STOP_MAX: Duration = Duration::from_millis(9300);

/// How long logging that may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It has moved since it was last asked.
    Beats,
    /// It has not. If that goes on, systemd's watchdog ends it.
    Still,
    /// A part of it has ended.
    Ended,
}

impl From<bool> for Pulse {
    /// Of a service that is alive or not, and moves if it is.
    fn from(alive: bool) -> Self {
        if alive { Self::Beats } else { Self::Ended }
    }
}

/// The signals that a service obeys.
#[derive(Debug)]
pub struct Service {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Service {
    /// Listens for signals from now on. From the first SIGTERM or SIGINT on, the process has 10 s
    /// to end, whatever its threads are about.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        std::thread::Builder::new().name("stop".into()).spawn(end_late)?;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Notifies systemd that the service is ready, and runs until SIGTERM or SIGINT, or until a
    /// part of it has ended. At SIGHUP calls `reload`, which says what it applied, or why nothing
    /// changed.
    pub async fn run<P: Into<Pulse>>(
        &mut self,
        mut pulse: impl FnMut() -> P,
        mut reload: impl FnMut() -> Result<Reloaded, String>,
    ) {
        notify(NotifyState::Ready);
        let watchdog = sd_notify::watchdog_enabled().map(|timeout| timeout / 3);
        let mut check = interval(watchdog.unwrap_or(CHECK).max(Duration::from_millis(10)));
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hang_up.recv() => {
                    tell_reload(&mut reload);
                }
                _ = check.tick() => match pulse().into() {
                    Pulse::Beats => notify(NotifyState::Watchdog),
                    Pulse::Still => tracing::warn!("the service stands still"),
                    Pulse::Ended => {
                        tracing::error!("a part of the service has ended; stopping");
                        break;
                    }
                },
            }
        }
        notify(NotifyState::Stopping);
        tracing::info!("stopping");
    }

    /// Waits for a second signal: SIGTERM or SIGINT.
    pub async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::warn!("second signal: stopping at once");
    }
}

/// Kills a process that doesn't stop by itself. It has its own thread and signals, because the
/// others may be stuck.
fn end_late() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            io::Result::Ok(())
        })
    });
    if let Err(error) = told {
        tracing::warn!(%error, "can't watch that this process stops in time");
        return;
    }
    std::thread::sleep(STOP_MAX);
    // Nobody waits for the log, which may be what is stuck.
    std::thread::spawn(|| {
        tracing::error!(
            "not stopped within {STOP_MAX:?}; the next start continues with the files on disk"
        );
    });
    std::thread::sleep(LAST_WORDS);
    std::process::exit(1);
}

/// Reloads, and tells log and systemd (`systemctl status`) what came of it.
fn tell_reload(reload: &mut impl FnMut() -> Result<Reloaded, String>) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify_all(&[NotifyState::Reloading, now]);
    }
    let status = match reload() {
        Ok(reloaded) => {
            let text = reloaded.to_string();
            if reloaded.restart.is_empty() {
                tracing::info!("{text}");
            } else {
                tracing::warn!("{text}");
            }
            text
        }
        Err(why) => {
            tracing::error!("the present config stays in use: {why}");
            format!("the present config stays in use: {why}")
        }
    };
    notify_all(&[NotifyState::Ready, NotifyState::Status(&status.replace('\n', " "))]);
}

fn notify(state: NotifyState<'_>) {
    notify_all(&[state]);
}

fn notify_all(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "can't notify systemd");
    }
}
