//! Reads a collector's live events: Server-Sent Events over HTTP.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode};
use rustls::ClientConfig;
use sse_stream::{Sse, SseByteStream};
use tokio::time::{sleep, timeout};
use wire::advice::Advised;

use super::accounts::AccountList;
use super::state::{StreamItem, Subscription};
use crate::http_client::{HttpServer, HttpServerError};

/// Time limit for the collector's answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Longest silence of a stream; a collector sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// Time between two questions about the accounts, and most bytes of the answer: 1000 accounts with ten
/// NICs each.
const ACCOUNTS: Duration = Duration::from_secs(60);
const ACCOUNTS_MAX: usize = 16 << 20;

/// Most bytes read of an error answer.
const REFUSAL_MAX: usize = 64 << 10;

/// A collector, by its HTTP address.
#[derive(Debug)]
pub struct Source {
    url: String,
    /// Its path is the one before `/api`, for a collector below a proxy's path.
    server: HttpServer,
    token: Option<HeaderValue>,
}

/// Why an address is unusable.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not an address.
    #[error("{0:?} is no address; write for example http://127.0.0.1:8083")]
    NoUrl(String),
    /// The token can't be sent.
    #[error("the token has characters that HTTP can't carry")]
    Token,
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(HttpServerError),
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("can't connect")]
    Connect(#[source] Advised),
    #[error("no answer within {ANSWER:?}")]
    NoAnswer,
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("it requires a token; name the file that holds it by --token-file")]
    TokenNeeded,
    #[error("it answers {status}: {why}")]
    Refused { status: StatusCode, why: String },
    #[error("it has closed the connection")]
    Ended,
    #[error("the answer broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    #[error("can't understand its answer")]
    Unknown(#[source] Advised),
}

impl StreamError {
    fn connect(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Connect(Advised::new(error, "does `collector run` run there?"))
    }
}

impl From<serde_json::Error> for StreamError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unknown(Advised::new(error, "is it a collector of this version?"))
    }
}

impl Source {
    /// The collector at an address, with a token to send if needed.
    ///
    /// # Errors
    /// [`SourceError`] gives the fault of the address or the token.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, SourceError> {
        let server = HttpServer::new(url).map_err(|error| match error {
            HttpServerError::NoUrl => SourceError::NoUrl(url.to_owned()),
            error @ HttpServerError::Tls(_) => SourceError::Tls(error),
        })?;
        let secret = |token: &str| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let wrong = |_: hyper::header::InvalidHeaderValue| SourceError::Token;
        let token = token.map(secret).transpose().map_err(wrong)?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), server, token })
    }

    /// Connects by TLS with these settings.
    #[must_use]
    pub fn with_tls(self, tls: ClientConfig) -> Self {
        Self { server: self.server.with_tls(tls), ..self }
    }

    /// The address as given.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Passes on the collector's events until `tell` returns that nobody listens, which is no error.
    pub(super) async fn follow(
        &self,
        followed: &Subscription,
        mut tell: impl FnMut(StreamItem) -> bool,
    ) -> Result<(), StreamError> {
        if *followed == Subscription::Accounts {
            return self.follow_accounts(tell).await;
        }
        let answer = timeout(ANSWER, self.ask(followed)).await;
        let mut events = SseByteStream::new(pieces(answer.map_err(|_| StreamError::NoAnswer)??));
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| match error {
                sse_stream::Error::Body(error) => StreamError::Broken(error),
                error => StreamError::Broken(error.into()),
            })?;
            if let Some(told) = read(followed, &event)?
                && !tell(told)
            {
                return Ok(());
            }
        }
        Err(StreamError::Ended)
    }

    /// Asks for the accounts as often as the collector renews them. An older collector has none.
    async fn follow_accounts(
        &self,
        mut tell: impl FnMut(StreamItem) -> bool,
    ) -> Result<(), StreamError> {
        loop {
            let answer = timeout(ANSWER, self.ask(&Subscription::Accounts)).await;
            let accounts = match answer.map_err(|_| StreamError::NoAnswer)? {
                Err(StreamError::Refused { .. }) => AccountList::none(),
                answer => {
                    let body = Limited::new(answer?.into_body(), ACCOUNTS_MAX).collect();
                    let body = timeout(ANSWER, body).await.map_err(|_| StreamError::NoAnswer)?;
                    serde_json::from_slice(&body.map_err(StreamError::Broken)?.to_bytes())?
                }
            };
            if !tell(StreamItem::Accounts(accounts)) {
                return Ok(());
            }
            sleep(ACCOUNTS).await;
        }
    }

    async fn ask(&self, followed: &Subscription) -> Result<Response<Incoming>, StreamError> {
        let (mut sender, driver) = self.server.connect().await.map_err(StreamError::connect)?;
        // It ends with the answer, which reports its errors.
        tokio::spawn(driver);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.path(followed).into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.server.authority().clone());
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let answer = sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED if self.token.is_none() => Err(StreamError::TokenNeeded),
            status => Err(StreamError::Refused { status, why: why(answer).await }),
        }
    }

    fn path(&self, followed: &Subscription) -> PathAndQuery {
        let base = self.server.path().trim_end_matches('/');
        let path = match followed {
            Subscription::All => format!("{base}/api/v1/live"),
            Subscription::Client(client) => format!("{base}/api/v1/live?client={client}"),
            Subscription::Accounts => format!("{base}/api/v1/accounts"),
        };
        path.parse().expect("the path of a URI, and an id of letters, digits and -_.")
    }
}

/// The body, with a limit of silence.
fn pieces(answer: Response<Incoming>) -> impl Stream<Item = io::Result<Bytes>> + Unpin {
    Box::pin(stream::unfold(answer.into_body().into_data_stream(), |mut body| async {
        let piece = match timeout(SILENCE, body.next()).await {
            Ok(piece) => piece?.map_err(io::Error::other),
            Err(_) => Err(io::Error::other(format!("nothing received for {SILENCE:?}"))),
        };
        Some((piece, body))
    }))
}

/// The reason given in an answer.
async fn why(answer: Response<Incoming>) -> String {
    let body = Limited::new(answer.into_body(), REFUSAL_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    match json["error"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None => "is it the address of a collector?".to_owned(),
    }
}

fn read(followed: &Subscription, event: &Sse) -> Result<Option<StreamItem>, serde_json::Error> {
    let Some(data) = &event.data else { return Ok(None) };
    Ok(match (followed, event.event.as_deref()) {
        (Subscription::All, Some("snapshot")) => Some(StreamItem::All(serde_json::from_str(data)?)),
        (Subscription::All, Some("update")) => {
            Some(StreamItem::Changes(serde_json::from_str(data)?))
        }
        (Subscription::Client(_), Some("snapshot" | "update")) => {
            Some(StreamItem::Client(serde_json::from_str(data)?))
        }
        (Subscription::Client(_), Some("samples")) => {
            Some(StreamItem::Samples(serde_json::from_str(data)?))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use wire::id::ClientId;

    use super::*;

    #[test]
    fn the_path_of_an_address_comes_before_that_of_the_api() {
        let source = |url| Source::new(url, None).unwrap();
        assert_eq!(source("http://127.0.0.1:8083").path(&Subscription::All), "/api/v1/live");
        let behind = source("https://monitor.example.org/net/");
        let web = Subscription::Client(ClientId::new("web-1").unwrap());
        assert_eq!(behind.path(&web), "/net/api/v1/live?client=web-1");
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for url in ["", "127.0.0.1:8083", "ftp://host", "http://", "http://me:secret@host", "/x"] {
            let error = Source::new(url, None).unwrap_err().to_string();
            assert!(error.contains("write for example http://"), "{url}: {error}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let source = Source::new("http://host", Some("correct-horse")).unwrap();
        assert!(!format!("{source:?}").contains("horse"));
        assert!(matches!(Source::new("http://host", Some("a\nb")), Err(SourceError::Token)));
    }
}
