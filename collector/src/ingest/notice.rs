//! Sends an agent notices while its connection lasts.

use quinn::Connection;
use settings::InFull;
use tokio::time::timeout;
use wire::codec;
use wire::message::{Message, Notice};

use super::patience::PATIENCE;

/// Sends notices to an agent on a stream of their own. An agent too old for that allows no stream and
/// gets none.
pub fn tell(connection: &Connection, said: Vec<String>) {
    if said.is_empty() {
        return;
    }
    let connection = connection.clone();
    tokio::spawn(async move {
        let told = timeout(PATIENCE, async {
            let mut stream =
                connection.open_uni().await.map_err(|error| error.in_full().to_string())?;
            for text in said {
                let bytes = codec::encode_message(&Message::Notice(Notice { text }));
                let bytes = bytes.map_err(|error| error.in_full().to_string())?;
                stream.write_all(&bytes).await.map_err(|error| error.in_full().to_string())?;
            }
            stream.finish().map_err(|error| error.in_full().to_string())
        });
        match told.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error, "can't send a notice to an agent"),
            Err(_) => tracing::debug!("can't send a notice to an agent: it allows no stream"),
        }
    });
}
