//! Issues certificates to agents over a stream: one request and one answer.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use rustls::pki_types::UnixTime;
use settings::{InFull, SharedFailures};
use tokio::time::timeout;
use wire::codec::{self, CodecError, HEADER_LEN, Received};
use wire::message::{EnrollReply, Message, Refused};

use super::issue::{Cas, Renewed};
use super::own::Identity;
use super::peer::{Agent, CLOSE_REFUSED, count_reject};
use super::refusal::EnrollError;
use super::taking::EnrolmentStore;
use crate::listen::canonical;

/// Time limit for a request, and for the delivery of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time limit for the delivery of a refusal, which anybody can cause.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// Longest request, bytes.
const REQUEST_MAX: u32 = 64 << 10;

/// Close code of a completed connection.
const CLOSE_DONE: u32 = 0;

/// Why there is no request to answer. The other end receives this text.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("no request within {PATIENCE:?}")]
    Late,
    #[error("the stream broke")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("a request of {0} bytes; at most {REQUEST_MAX} are allowed")]
    TooLong(u32),
    #[error("something else than a request for a certificate")]
    NoRequest,
    /// A host with several addresses checks which of them a collector answers.
    #[error("it only checked whether this collector answers")]
    Looked,
}

impl RequestError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Broken(_) => "broken",
            Self::Codec(_) => "codec",
            Self::TooLong(_) => "too_long",
            Self::NoRequest => "no_request",
            Self::Looked => "looked",
        }
    }
}

/// Invalid requests by address and kind: anybody can send them, as often as they like.
static REFUSED: SharedFailures<(IpAddr, &'static str)> = SharedFailures::new();

impl Identity {
    /// Serves a connection of [`wire::ALPN_ENROLL`]: one request for a certificate, then closes it. A
    /// client without a token can hold the connection for some six seconds at most. `busy` receives
    /// whether closing the connection now would lose something.
    pub async fn serve_enrollment(
        self: &Arc<Self>,
        connection: Connection,
        shared: Arc<dyn EnrolmentStore>,
        busy: impl Fn(bool) + Send,
    ) {
        let from = connection.remote_address().ip();
        let mut stream = None;
        let request = async {
            let (send, mut receive) =
                connection.accept_bi().await.map_err(|error| match error {
                    ConnectionError::ApplicationClosed(close)
                        if close.error_code == CLOSE_DONE.into() =>
                    {
                        RequestError::Looked
                    }
                    error => RequestError::Broken(error.into()),
                })?;
            stream = Some(send);
            read(&mut receive).await
        };
        let answer = match in_time(request).await {
            Ok(request) => {
                busy(true);
                self.answer_enrollment(request, from, &shared).await
            }
            Err(RequestError::Looked) => {
                tracing::debug!(%from, "a host only checked whether this collector answers");
                return;
            }
            Err(error) => Err(error),
        };
        let message = answer.unwrap_or_else(|error| refuse(&connection, &error));
        busy(matches!(message, Message::EnrollReply(_)));
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
        request: Message,
        from: IpAddr,
        shared: &Arc<dyn EnrolmentStore>,
    ) -> Result<Message, RequestError> {
        let (request, cas) = match request {
            Message::Enroll(request) => (request, Cas::Trusted),
            Message::EnrollRequest(request) => (request.into(), Cas::Present),
            _ => return Err(RequestError::NoRequest),
        };
        Ok(answer(self.enroll(request, cas, from, shared, UnixTime::now()).await))
    }

    /// Serves a stream by which an agent asks for its next certificate, or for something that `other`
    /// answers. Returns the agent named by a new certificate, which its connection uses from then on.
    pub async fn serve_request(
        self: &Arc<Self>,
        agent: Agent,
        connection: &Connection,
        (stream, receive): (SendStream, RecvStream),
        other: impl AsyncFnOnce(&Message) -> Option<Message>,
    ) -> Option<Agent> {
        let from = connection.remote_address().ip();
        let answer = self.answer_request(agent, receive, from, other).await;
        let (message, renewed) = answer.unwrap_or_else(|error| (refuse(connection, &error), None));
        send(stream, &message).await;
        renewed
    }

    async fn answer_request(
        self: &Arc<Self>,
        agent: Agent,
        mut stream: RecvStream,
        from: IpAddr,
        other: impl AsyncFnOnce(&Message) -> Option<Message>,
    ) -> Result<(Message, Option<Agent>), RequestError> {
        let request = in_time(read(&mut stream)).await?;
        if let Some(answer) = other(&request).await {
            return Ok((answer, None));
        }
        let Message::RenewRequest(request) = request else {
            return Err(RequestError::NoRequest);
        };
        let identity = self.clone();
        let renew = move || identity.renew(&agent, &request, from, UnixTime::now());
        let renewed = tokio::task::spawn_blocking(renew).await;
        Ok(match renewed.unwrap_or(Err(EnrollError::Broken)) {
            Ok(Renewed { reply, agent }) => (Message::EnrollReply(reply), Some(agent)),
            Err(error) => (answer(Err(error)), None),
        })
    }
}

fn answer(answered: Result<EnrollReply, EnrollError>) -> Message {
    match answered {
        Ok(reply) => Message::EnrollReply(reply),
        Err(error) => Message::Refused(Refused { reason: error.for_agent() }),
    }
}

fn refuse(connection: &Connection, error: &RequestError) -> Message {
    count_reject("bad_request");
    let address = canonical(connection.remote_address());
    match REFUSED.failed((address.ip(), error.kind()), Instant::now()) {
        Some(tell) => {
            tracing::warn!(%address, error = %error.in_full(), "refused a certificate{tell}")
        }
        None => tracing::debug!(%address, error = %error.in_full(), "refused a certificate, still"),
    }
    Message::Refused(Refused { reason: error.in_full().to_string() })
}

/// Reads a request within the time limit.
async fn in_time<T>(
    request: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, RequestError> {
    timeout(PATIENCE, request).await.unwrap_or(Err(RequestError::Late))
}

async fn read(stream: &mut RecvStream) -> Result<Message, RequestError> {
    let broken = |error: quinn::ReadExactError| RequestError::Broken(error.into());
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
}

/// Sends the last message of a stream and waits until it has arrived. If that fails, the agent asks
/// again.
async fn send(mut stream: SendStream, message: &Message) {
    let patience = match message {
        Message::Refused(_) => REFUSAL_PATIENCE,
        _ => PATIENCE,
    };
    let sent = timeout(patience, async {
        let bytes = codec::encode_message(message).map_err(|error| error.in_full().to_string())?;
        stream.write_all(&bytes).await.map_err(|error| error.in_full().to_string())?;
        stream.finish().map_err(|error| error.in_full().to_string())?;
        stream.stopped().await.map_err(|error| error.in_full().to_string())
    });
    match sent.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(error, "the answer didn't arrive"),
        Err(_) => tracing::debug!("the answer didn't arrive in time"),
    }
}
