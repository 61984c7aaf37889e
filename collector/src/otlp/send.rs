//! Posts requests to the receiver.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response};
use settings::InFull;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;

use super::answer::{self, OtlpAnswer};
use super::config::OtlpTarget;
use crate::time::now_ns;

/// Most bytes read of an answer's body.
const ANSWER_MAX: usize = 64 << 10;

const AGENT: &str = concat!("network-monitor-collector/", env!("CARGO_PKG_VERSION"));

/// Posts requests to a receiver, one at a time.
#[derive(Debug)]
pub struct Poster {
    target: OtlpTarget,
    open: Option<Opened>,
}

/// An open connection.
#[derive(Debug)]
struct Opened {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Opened {
    /// Closes it, also in the middle of a request.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Poster {
    /// For this receiver.
    #[must_use]
    pub const fn new(target: OtlpTarget) -> Self {
        Self { target, open: None }
    }

    /// The URL that takes the requests.
    #[must_use]
    pub fn url(&self) -> String {
        self.target.url()
    }

    /// Posts the body of a request. Takes no longer than the time limit.
    pub async fn post(&mut self, body: Bytes) -> OtlpAnswer {
        let limit = self.target.timeout;
        let answer = timeout(limit, self.try_post(body)).await;
        let failure = match answer {
            Ok(Ok(answer)) => return answer,
            Ok(Err(why)) => why,
            Err(_) => format!("no answer within {limit:?}"),
        };
        self.hang_up();
        OtlpAnswer::failed(failure)
    }

    /// Closes the connection. It is kept between requests that follow each other only, because receivers
    /// close idle ones.
    pub fn hang_up(&mut self) {
        self.open = None;
    }

    async fn try_post(&mut self, body: Bytes) -> Result<OtlpAnswer, String> {
        let request = self.request(body).await?;
        if let Some(open) = &mut self.open
            && open.sender.ready().await.is_err()
        {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let connected = self.target.server.connect().await;
                let (sender, driver) = connected.map_err(|error| error.in_full().to_string())?;
                // Its error also fails the request.
                let driver = tokio::spawn(driver).abort_handle();
                self.open.insert(Opened { sender, driver })
            }
        };
        let answer = open.sender.send_request(request).await;
        let answer = answer.map_err(|error| error.in_full().to_string())?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = beginning(answer).await.map_err(|error| error.in_full().to_string())?;
        if body.len() > ANSWER_MAX {
            self.open = None;
        }
        let now = UNIX_EPOCH + Duration::from_nanos(now_ns().get());
        Ok(answer::read(status, &headers, &body, now))
    }

    async fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let own = match self.target.headers.clone() {
            None => HeaderMap::new(),
            Some(file) => {
                let read = spawn_blocking(move || file.read()).await;
                read.map_err(|error| error.in_full().to_string())?
                    .map_err(|why| format!("export.otlp.headers_file: {why}"))?
            }
        };
        let len = body.len();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(own);
        headers.insert(HOST, self.target.server.authority().clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        // Also of an empty body.
        headers.insert(CONTENT_LENGTH, len.into());
        if self.target.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(request)
    }
}

/// The body, or somewhat more than [`ANSWER_MAX`] bytes of it.
async fn beginning(answer: Response<Incoming>) -> Result<Vec<u8>, hyper::Error> {
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    while bytes.len() <= ANSWER_MAX
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
