//! What the collector says though the connection goes on: each time on a stream of its own.

use quinn::Connection;
use wire::message::Message;

use super::control::{self, ControlError};

/// Most notices of one stream; further ones are left alone.
const NOTICES_MAX: usize = 16;

/// The texts of the next stream of the collector, once there is one.
///
/// # Errors
/// [`ControlError`] if the connection ends, or something else is said.
pub async fn hear(connection: &Connection) -> Result<Vec<String>, ControlError> {
    let opened = connection.accept_uni().await;
    let mut stream = opened.map_err(|error| ControlError::Gone(control::close_reason(&error)))?;
    let mut texts = Vec::new();
    while texts.len() < NOTICES_MAX {
        match control::read(&mut stream, connection).await {
            Ok(Message::Notice(notice)) => texts.push(notice.text),
            Ok(other) => tracing::debug!(?other, "no notice"),
            // The end of the stream.
            Err(_) if !texts.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(texts)
}
