//! Notices: what the collector says without ending the connection, each time on a new stream.

use quinn::Connection;
use wire::message::Message;

use super::control::{self, ControlError};

/// Most notices per stream; further ones are ignored.
const NOTICES_MAX: usize = 16;

/// Waits for the collector's next stream and reads its texts.
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
