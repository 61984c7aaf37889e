//! Ctrl-C and SIGTERM, as a channel that closes.

use std::convert::Infallible;
use std::io;

use crossbeam_channel::{Receiver, bounded};
use tokio::signal::unix::{SignalKind, signal};

/// Catches signals from now on. The channel closes with the first one.
///
/// # Errors
/// The system's error.
pub fn interrupted() -> io::Result<Receiver<Infallible>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _in_runtime = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (sender, receiver) = bounded(0);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        drop::<crossbeam_channel::Sender<Infallible>>(sender);
    })?;
    Ok(receiver)
}
