//! A service's life: ready, watched, reloaded, stopped. Signals as systemd and terminals send
//! them, and systemd's notifications (sd_notify(3)), which go nowhere without it.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// Pings of the watchdog without one to ask for them: alive is checked all the same.
const CHECK: Duration = Duration::from_secs(5);

/// The signals that a service obeys.
#[derive(Debug)]
pub struct Service {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Service {
    /// Listens for signals from now on.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Says that the service is ready and runs until SIGTERM or SIGINT, or until `alive` is false.
    /// `reload` is called at SIGHUP.
    pub async fn run(&mut self, alive: impl Fn() -> bool, mut reload: impl FnMut()) {
        notify(NotifyState::Ready);
        let watchdog = sd_notify::watchdog_enabled().map(|timeout| timeout / 3);
        let mut check = interval(watchdog.unwrap_or(CHECK).max(Duration::from_millis(10)));
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hang_up.recv() => {
                    tracing::info!("reloading");
                    reload();
                }
                _ = check.tick() => {
                    if !alive() {
                        tracing::error!("a part of the service has ended; stopping");
                        break;
                    }
                    notify(NotifyState::Watchdog);
                }
            }
        }
        notify(NotifyState::Stopping);
        tracing::info!("stopping");
    }

    /// Waits for the impatient: a second SIGTERM or SIGINT.
    pub async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::warn!("told again: stopping at once");
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}
