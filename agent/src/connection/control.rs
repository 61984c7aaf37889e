//! The control stream: messages in both directions, one after the other.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::UnixTime;
use settings::InFull;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::codec::{self, CodecError, HEADER_LEN, Received};
use wire::message::Message;

use super::clocks;

/// How long writing a message may take. A collector reads messages whatever its database does.
pub const SAID: Duration = Duration::from_secs(30);

/// Longest message from a collector, bytes: a list of the most sessions takes a third of it.
pub const MESSAGE_MAX: u32 = 256 << 10;

/// Why talking to the collector ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The stream or connection is gone. The text is what came over the wire: the collector's own
    /// words, or why QUIC ended it.
    #[error("{0}")]
    Gone(String),
    /// What arrived is not of this protocol.
    #[error("can't understand what the collector sent")]
    Received(#[source] CodecError),
    /// The message can't be encoded.
    #[error(transparent)]
    Said(#[from] CodecError),
    /// Longer than any message to an agent.
    #[error("the collector sent a message of {0} bytes; at most {MESSAGE_MAX} are expected")]
    TooLong(u32),
    /// A frame where a message should be.
    #[error("the collector sent a frame; only agents do")]
    Frame,
}

/// Reads the next message.
///
/// # Errors
/// [`ControlError`] says why there is none.
pub async fn read(
    stream: &mut RecvStream,
    connection: &Connection,
) -> Result<Message, ControlError> {
    let gone =
        |error: &(dyn Error + 'static)| ControlError::Gone(why(connection, &error.in_full()));
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).await.map_err(|error| gone(&error))?;
    let header = codec::decode_header(header).map_err(ControlError::Received)?;
    if header.len() > MESSAGE_MAX {
        return Err(ControlError::TooLong(header.len()));
    }
    let mut body = vec![0; header.len() as usize];
    stream.read_exact(&mut body).await.map_err(|error| gone(&error))?;
    match codec::decode_body(header, &body).map_err(ControlError::Received)? {
        Received::Message(message) => Ok(message),
        Received::Frame(_) => Err(ControlError::Frame),
    }
}

/// Reads messages in a task of its own, because reading one can't be interrupted and resumed. The
/// last item is an error.
pub fn messages(
    connection: Connection,
    mut stream: RecvStream,
) -> mpsc::Receiver<Result<Message, ControlError>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let message = read(&mut stream, &connection).await;
            let failed = message.is_err();
            if sender.send(message).await.is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// Writes a message.
///
/// # Errors
/// [`ControlError::Gone`] if the connection is gone, [`ControlError::Said`] if the message can't be
/// encoded.
pub async fn write(
    stream: &mut SendStream,
    connection: &Connection,
    message: &Message,
) -> Result<(), ControlError> {
    let message = codec::encode_message(message)?;
    match timeout(SAID, stream.write_all(&message)).await {
        Ok(written) => {
            written.map_err(|error| ControlError::Gone(why(connection, &error.in_full())))
        }
        Err(_) => Err(ControlError::Gone(format!("the collector has read nothing for {SAID:?}"))),
    }
}

/// Why a connection closed: the collector's own words if it gave any, else these.
#[must_use]
pub fn why(connection: &Connection, otherwise: &dyn Display) -> String {
    match connection.close_reason() {
        Some(reason) => close_reason(&reason),
        None => otherwise.to_string(),
    }
}

/// The reason of a closed connection as text.
#[must_use]
pub fn close_reason(reason: &quinn::ConnectionError) -> String {
    use quinn::ConnectionError;
    match reason {
        ConnectionError::ApplicationClosed(close) => {
            format!("the collector closed: {}", String::from_utf8_lossy(&close.reason))
        }
        ConnectionError::TimedOut => "the collector doesn't answer".into(),
        ConnectionError::Reset => "the collector was restarted".into(),
        ConnectionError::TransportError(error) => clocks::collector_untimely(&error.reason)
            .unwrap_or_else(|| reason.in_full().to_string()),
        ConnectionError::ConnectionClosed(close) => {
            let said = String::from_utf8_lossy(&close.reason);
            clocks::agent_untimely(&said, UnixTime::now())
                .unwrap_or_else(|| reason.in_full().to_string())
        }
        other => other.in_full().to_string(),
    }
}
