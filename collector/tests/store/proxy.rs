//! A proxy before the server that interferes with a COMMIT.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use crate::cluster;

/// Name of a prepared transaction in doubt.
pub const IN_DOUBT: &str = "in_doubt";

/// A query in the wire protocol.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
const PREPARE: &[u8] = b"Q\0\0\0\x23PREPARE TRANSACTION 'in_doubt'\0";

/// Loses the answer to the next COMMIT once `lose` is set.
pub async fn lose(directory: &Path, lose: Arc<AtomicBool>) {
    start(directory, lose, COMMIT).await;
}

/// Once `prepare` is set, lets the server only prepare the next COMMIT and loses the answer, as if the
/// coordinator had died.
pub async fn prepare(directory: &Path, prepare: Arc<AtomicBool>) {
    start(directory, prepare, PREPARE).await;
}

async fn start(directory: &Path, armed: Arc<AtomicBool>, instead: &'static [u8]) {
    let server = cluster::socket();
    let listener = UnixListener::bind(directory.join(server.file_name().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = UnixStream::connect(&server).await.unwrap();
            let (mut near_read, near_write) = near.into_split();
            let (far_read, mut far_write) = far.into_split();
            let cut = Arc::new(AtomicBool::new(false));
            let answers = tokio::spawn(answer(far_read, near_write, cut.clone()));
            let armed = armed.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 65536];
                while let Ok(read @ 1..) = near_read.read(&mut bytes).await {
                    let said = &bytes[..read];
                    let before = said.strip_suffix(COMMIT);
                    let before = before.filter(|_| armed.swap(false, Ordering::SeqCst));
                    let Some(before) = before else {
                        far_write.write_all(said).await.unwrap();
                        continue;
                    };
                    cut.store(true, Ordering::SeqCst);
                    far_write.write_all(&[before, instead].concat()).await.unwrap();
                    answers.await.unwrap();
                    return;
                }
            });
        }
    });
}

/// Forwards the server's answers until one is to be lost. The server has executed the query by then.
async fn answer(mut far: OwnedReadHalf, mut near: OwnedWriteHalf, cut: Arc<AtomicBool>) {
    let mut bytes = [0; 65536];
    while let Ok(read @ 1..) = far.read(&mut bytes).await {
        if cut.load(Ordering::SeqCst) || near.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
