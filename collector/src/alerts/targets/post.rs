//! HTTP POST to a URL of the config. Redirects are not followed, so that a server can't send messages and
//! headers elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use rustls::ClientConfig;
use settings::{Foreign, InFull, Problem};

use super::super::config::TargetSection;
use super::send::{Keys, SendError, secret};
use crate::http_client::HttpServer;
use crate::tls_client::TrustedAuthorities;

/// Most of an error's answer that is read, bytes, and shown, characters.
const ANSWER_MAX: usize = 16 << 10;
const SHOWN_MAX: usize = 200;

const EXAMPLE: &str =
    "write for example https://hooks.example.org/alerts, without user and password";

/// Where messages are posted.
#[derive(Debug)]
pub(super) struct Post {
    url: Place,
    headers: Vec<(HeaderName, HeaderValue)>,
    header_files: Vec<(HeaderName, PathBuf)>,
    tls: Option<ClientConfig>,
    /// The server of the last URL.
    server: Mutex<Option<(String, HttpServer)>>,
}

/// Where the URL is.
#[derive(Debug)]
enum Place {
    Here(String),
    File(PathBuf),
}

impl Post {
    pub fn of(
        section: &TargetSection,
        authorities: Option<&TrustedAuthorities>,
        keys: Keys<'_>,
    ) -> Result<Self, Problem> {
        let url = match (&section.url, &section.url_file) {
            (Some(_), Some(_)) => return Err(keys.problem("url_file", "set beside url; set one")),
            (None, None) => {
                return Err(keys.problem("url", format!("not set; set url or url_file; {EXAMPLE}")));
            }
            (Some(url), None) => {
                let server = server(url).map_err(|why| keys.problem("url", why))?;
                let used = authorities.is_none() || server.is_encrypted();
                Problem::unless(used, keys.of("ca"), || {
                    "set, but url is not encrypted; begin it with https://, or leave ca out"
                        .to_owned()
                })?;
                Place::Here(url.clone())
            }
            (None, Some(file)) => Place::File(file.clone()),
        };
        let name = |key: &str, name: &String| {
            let why = || format!("{name:?} is no header's name; write for example X-Token");
            name.parse::<HeaderName>().map_err(|_| keys.problem(key, why()))
        };
        let mut headers = Vec::new();
        for (header, value) in &section.headers {
            let why = "a value that no header can have";
            let value = HeaderValue::from_str(value).map_err(|_| keys.problem("headers", why))?;
            headers.push((name("headers", header)?, value));
        }
        let named =
            |(header, file): (&String, &PathBuf)| Ok((name("header_files", header)?, file.clone()));
        let files: &BTreeMap<String, PathBuf> = &section.header_files;
        let header_files = files.iter().map(named).collect::<Result<_, Problem>>()?;
        let tls = authorities.map(TrustedAuthorities::config).transpose();
        let tls = tls.map_err(|error| keys.problem("ca", error.in_full().to_string()))?;
        Ok(Self { url, headers, header_files, tls, server: Mutex::default() })
    }

    /// The URL.
    pub fn url(&self) -> Result<String, SendError> {
        match &self.url {
            Place::Here(url) => Ok(url.clone()),
            Place::File(file) => Ok(secret(file)?.trim().to_owned()),
        }
    }

    /// Posts JSON to a URL.
    pub async fn json(&self, url: &str, id: &str, body: String) -> Result<(), SendError> {
        let (address, query) = parts(url);
        let server = self.server(address)?;
        let path = match query {
            "" => server.path().to_owned(),
            query => format!("{}?{query}", server.path()),
        };
        let mut request = Request::builder().method(Method::POST).uri(path);
        for (name, file) in &self.header_files {
            let wrong = |_| SendError::Later(format!("{}: no value of a header", file.display()));
            let mut value = HeaderValue::from_str(secret(file)?.trim()).map_err(wrong)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request
            .header(HOST, server.authority())
            .header(USER_AGENT, concat!("network-monitor/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            // The same each time that a message is sent.
            .header("idempotency-key", id)
            .body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| SendError::Refused(error.in_full().to_string()))?;
        let connected = server.connect().await;
        let (mut sender, driver) =
            connected.map_err(|error| SendError::Later(error.in_full().to_string()))?;
        let driver = tokio::spawn(driver);
        let answer = sender.send_request(request).await;
        let outcome = match answer {
            Ok(answer) => outcome(answer).await,
            Err(error) => Err(SendError::Later(error.in_full().to_string())),
        };
        driver.abort();
        outcome
    }

    /// The server of a URL. It is made anew only if the URL has changed.
    fn server(&self, url: &str) -> Result<HttpServer, SendError> {
        let mut known = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, server)) = known.as_ref().filter(|(of, _)| of == url) {
            return Ok(server.clone());
        }
        let made = server(url).map_err(SendError::Later)?;
        let made = match &self.tls {
            Some(tls) if made.is_encrypted() => made.with_tls(tls.clone()),
            _ => made,
        };
        *known = Some((url.to_owned(), made.clone()));
        Ok(made)
    }
}

/// The server of a URL, or what is wrong with it. Its value may be a secret.
fn server(url: &str) -> Result<HttpServer, String> {
    HttpServer::new(parts(url).0).map_err(|error| format!("{}; {EXAMPLE}", error.in_full()))
}

/// A URL without its query, and the query.
fn parts(url: &str) -> (&str, &str) {
    url.split_once('?').unwrap_or((url, ""))
}

/// What an answer says.
async fn outcome(answer: Response<Incoming>) -> Result<(), SendError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let said: String = String::from_utf8_lossy(&body).chars().take(SHOWN_MAX).collect();
    let said = Foreign(said.trim()).to_string();
    let why = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
    let later = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    Err(if later {
        SendError::Later(why)
    } else if status.is_redirection() {
        SendError::Refused(format!("{status}: redirects are not followed; set the URL it leads to"))
    } else {
        SendError::Refused(why)
    })
}
