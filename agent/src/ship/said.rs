//! The messages before and after Hello.

use std::collections::HashMap;

use quinn::{Connection, RecvStream, SendStream};
use wire::delivery::StoredProgress;
use wire::id::SessionId;
use wire::message::{Committed, Message, SessionDigest};

use super::error::DeliveryError;
use crate::connection::control::{self, ControlError};

/// The progress of the sessions, from the collector's answer to Hello.
pub(super) fn welcomed_with(
    answer: Option<Result<Message, ControlError>>,
) -> Result<Vec<Committed>, DeliveryError> {
    match answer {
        Some(Ok(Message::Welcome(welcome))) => Ok(welcome.committed),
        Some(Ok(Message::Refused(refused))) => Err(DeliveryError::Refused(refused.reason)),
        Some(Ok(_)) | None => Err(DeliveryError::NoWelcome),
        Some(Err(error)) => Err(error.into()),
    }
}

/// The collector's statement about each session.
pub(super) fn told(committed: &[Committed], digests: &[SessionDigest]) -> Vec<StoredProgress> {
    let digests: HashMap<SessionId, u64> =
        digests.iter().map(|it| (it.session, it.digest)).collect();
    let told = |it: &Committed| {
        let digest = digests.get(&it.session).copied();
        StoredProgress { session: it.session, seq: it.seq, digest }
    };
    committed.iter().map(told).collect()
}

/// Opens the control stream and sends the first messages.
pub(super) async fn greet(
    connection: &Connection,
    said: &[Message],
) -> Result<(SendStream, RecvStream), ControlError> {
    let opened = connection.open_bi().await;
    let (mut send, receive) =
        opened.map_err(|error| ControlError::Gone(control::close_reason(&error)))?;
    for message in said {
        control::write(&mut send, connection, message).await?;
    }
    Ok((send, receive))
}
