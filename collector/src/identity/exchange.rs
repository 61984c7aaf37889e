//! The exchanges by which agents get certificates: one request and one answer on a stream.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::UnixTime;
use tokio::time::timeout;
use wire::codec::{self, CodecError, HEADER_LEN, Received};
use wire::message::{EnrollReply, Message, Refused};

use super::Identity;
use super::enroll::EnrollError;
use super::issue::Renewed;
use super::peer::{Agent, CLOSE_REFUSED, count_reject};
use crate::listen::canonical;

/// How long each step of an exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest request, bytes.
const REQUEST_MAX: u32 = 64 << 10;

/// Close code of a connection that has done its work.
const CLOSE_DONE: u32 = 0;

/// Why there is no request to answer. The other end is told this text.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("no request within {PATIENCE:?}")]
    Late,
    #[error("the stream broke: {0}")]
    Broken(String),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("a request of {0} bytes; at most {REQUEST_MAX} are allowed")]
    TooLong(u32),
    #[error("something else than a request for a certificate")]
    NoRequest,
}

impl Identity {
    /// Serves a connection of [`wire::ALPN_ENROLL`]: one request for a certificate, then closes
    /// it. Takes at most some seconds, whatever the other end does.
    pub async fn serve_enrollment(self: &Arc<Self>, connection: Connection) {
        let (answer, stream) = match timeout(PATIENCE, connection.accept_bi()).await {
            Ok(Ok((send, receive))) => (self.answer_enrollment(receive).await, Some(send)),
            Ok(Err(error)) => (Err(RequestError::Broken(error.to_string())), None),
            Err(_) => (Err(RequestError::Late), None),
        };
        let message = answer.unwrap_or_else(|error| refuse(&connection, &error));
        if let Some(stream) = stream {
            send(stream, &message).await;
        }
        match &message {
            Message::Refused(it) => connection.close(CLOSE_REFUSED.into(), it.reason.as_bytes()),
            _ => connection.close(CLOSE_DONE.into(), b"enrolled"),
        }
    }

    async fn answer_enrollment(
        self: &Arc<Self>,
        mut stream: RecvStream,
    ) -> Result<Message, RequestError> {
        let Message::EnrollRequest(request) = read(&mut stream).await? else {
            return Err(RequestError::NoRequest);
        };
        let identity = self.clone();
        let enroll = move || identity.enroll(&request, UnixTime::now());
        Ok(answer(tokio::task::spawn_blocking(enroll).await))
    }

    /// Serves a stream by which an agent asks for its next certificate. Gives the agent as that
    /// says who it is, if it got one: its connection is good for as long.
    pub async fn serve_renewal(
        self: &Arc<Self>,
        agent: Agent,
        connection: &Connection,
        (stream, receive): (SendStream, RecvStream),
    ) -> Option<Agent> {
        let answer = self.answer_renewal(agent, receive).await;
        let (message, renewed) = answer.unwrap_or_else(|error| (refuse(connection, &error), None));
        send(stream, &message).await;
        renewed
    }

    async fn answer_renewal(
        self: &Arc<Self>,
        agent: Agent,
        mut stream: RecvStream,
    ) -> Result<(Message, Option<Agent>), RequestError> {
        let Message::RenewRequest(request) = read(&mut stream).await? else {
            return Err(RequestError::NoRequest);
        };
        let identity = self.clone();
        let mut agent_now = None;
        let renew = move || identity.renew(&agent, &request, UnixTime::now());
        let renewed = tokio::task::spawn_blocking(renew).await.map(|renewed| {
            renewed.map(|Renewed { reply, agent }| {
                agent_now = Some(agent);
                reply
            })
        });
        Ok((answer(renewed), agent_now))
    }
}

fn answer(answered: Result<Result<EnrollReply, EnrollError>, tokio::task::JoinError>) -> Message {
    match answered {
        Ok(Ok(reply)) => Message::EnrollReply(reply),
        Ok(Err(error)) => Message::Refused(Refused { reason: error.to_string() }),
        Err(error) => {
            tracing::error!(%error, "a request for a certificate was broken off");
            Message::Refused(Refused { reason: "the collector failed: see its log".into() })
        }
    }
}

fn refuse(connection: &Connection, error: &RequestError) -> Message {
    count_reject("bad_request");
    tracing::warn!(address = %canonical(connection.remote_address()), %error, "refused a certificate");
    Message::Refused(Refused { reason: error.to_string() })
}

async fn read(stream: &mut RecvStream) -> Result<Message, RequestError> {
    let broken = |error: quinn::ReadExactError| RequestError::Broken(error.to_string());
    let read = async {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await.map_err(broken)?;
        let header = codec::decode_header(header)?;
        if header.len() > REQUEST_MAX {
            return Err(RequestError::TooLong(header.len()));
        }
        let mut body = vec![0; header.len() as usize];
        stream.read_exact(&mut body).await.map_err(broken)?;
        match codec::decode_body(header, &body)? {
            Received::Message(message) => Ok(message),
            Received::Frame(_) => Err(RequestError::NoRequest),
        }
    };
    timeout(PATIENCE, read).await.unwrap_or(Err(RequestError::Late))
}

/// Sends the last message of a stream and waits until it has arrived. What can't be sent is asked
/// for again by the agent.
async fn send(mut stream: SendStream, message: &Message) {
    let sent = timeout(PATIENCE, async {
        let bytes = codec::encode_message(message).map_err(|error| error.to_string())?;
        stream.write_all(&bytes).await.map_err(|error| error.to_string())?;
        stream.finish().map_err(|error| error.to_string())?;
        stream.stopped().await.map_err(|error| error.to_string())
    });
    match sent.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(error, "the answer didn't arrive"),
        Err(_) => tracing::debug!("the answer didn't arrive in time"),
    }
}
