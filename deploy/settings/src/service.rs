//! The life of a service: ready, watched, reloaded, stopped. Handles signals of systemd and terminals,
//! and sends systemd's notifications (sd_notify(3)), which have no effect without it.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use wire::causes::InFull as _;

use crate::reload::Reloaded;

/// Interval between checks of the service if no watchdog asks for pings.
const CHECK: Duration = Duration::from_secs(5);

/// A service that has not stopped by then is killed. Its files survive that.
const STOP_MAX: Duration = Duration::from_millis(9300);

/// Time limit for logging the kill.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// State of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It has made progress since the last check.
    Beats,
    /// It has made no progress. If that continues, systemd's watchdog ends it.
    Still,
    /// A part of it has ended.
    Ended,
}

impl From<bool> for Pulse {
    /// The state of a service that progresses whenever it is alive.
    fn from(alive: bool) -> Self {
        if alive { Self::Beats } else { Self::Ended }
    }
}

/// The signals that a service handles.
#[derive(Debug)]
pub struct Service {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Service {
    /// Catches signals from now on. After the first SIGTERM or SIGINT the process must end within 10 s,
    /// whatever its threads do.
    ///
    /// # Errors
    /// The system's error.
    pub fn new() -> io::Result<Self> {
        let (listens, listening) = mpsc::channel();
        std::thread::Builder::new().name("stop".into()).spawn(move || end_late(&listens))?;
        // From now on that thread catches signals too. If it can't, it logs the reason and ends.
        let _ended = listening.recv();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Notifies systemd that the service is ready, and runs until SIGTERM or SIGINT, or until a part of
    /// it has ended. On SIGHUP calls `reload`, which returns what it applied, or why nothing changed.
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

/// Kills a process that doesn't stop by itself. Uses its own thread and signals, because others may be
/// stuck.
fn end_late(listens: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let _gone = listens.send(());
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            io::Result::Ok(())
        })
    });
    if let Err(error) = told {
        tracing::warn!(error = %error.in_full(), "can't watch that this process stops in time");
        return;
    }
    std::thread::sleep(STOP_MAX);
    // Don't wait for the log, which may be the stuck part.
    std::thread::spawn(|| {
        tracing::error!(
            "not stopped within {STOP_MAX:?}; the next start continues with the files on disk"
        );
    });
    std::thread::sleep(LAST_WORDS);
    std::process::exit(1);
}

/// Reloads, and reports the result to log and systemd (`systemctl status`).
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
        tracing::debug!(error = %error.in_full(), "can't notify systemd");
    }
}
