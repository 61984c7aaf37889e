//! One stream of records, from the spool to the collector.

use std::future::Future;
use std::pin::Pin;

use crossbeam_channel::Sender as Requests;
use quinn::Connection;
use settings::InFull;
use wire::id::SessionId;
use wire::message::SeqRange;

use super::error::DeliveryError;
use super::recorder::{RecorderRequest, ask};
use super::understood::understood;
use crate::connection::control::{self, ControlError};

/// A stream in progress. It gives the session and the range that was sent. The collector may block
/// it while its database is away; `patience` bounds that.
pub(super) type Sending =
    Pin<Box<dyn Future<Output = Result<(SessionId, SeqRange), DeliveryError>> + Send>>;

/// Sends the records of a range of a session, or the first of them, by a stream of their own.
pub(super) fn stream(
    connection: &Connection,
    requests: &Requests<RecorderRequest>,
    session: SessionId,
    range: SeqRange,
) -> Sending {
    let (connection, requests) = (connection.clone(), requests.clone());
    Box::pin(async move {
        let records = ask(&requests, |reply| RecorderRequest::Read(session, range, reply))
            .await
            .ok_or(DeliveryError::RecorderGone)??;
        let gone = |error: &(dyn std::error::Error + 'static)| {
            ControlError::Gone(control::why(&connection, &error.in_full()))
        };
        let mut stream = connection.open_uni().await.map_err(|error| gone(&error))?;
        // Live datagrams and the control stream go first.
        stream.set_priority(-1).map_err(|error| gone(&error))?;
        let mut sent = range;
        for record in &records {
            let frame = understood(&connection, &record.frame);
            stream.write_all(&frame).await.map_err(|error| gone(&error))?;
            sent.last = record.range.last;
        }
        stream.finish().map_err(|error| gone(&error))?;
        Ok((session, sent))
    })
}

/// Waits for the running stream; without one, waits forever.
pub(super) async fn busy(
    sending: &mut Option<Sending>,
) -> Result<(SessionId, SeqRange), DeliveryError> {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}
