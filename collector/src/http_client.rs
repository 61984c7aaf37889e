//! Connections to HTTP servers, with TLS where the URL says so.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls_client;

/// An error of a connection.
type AnyError = Box<dyn Error + Send + Sync>;

/// An HTTP server, by its URL.
#[derive(Debug, Clone)]
pub struct HttpServer {
    host: String,
    port: u16,
    authority: HeaderValue,
    path: String,
    tls: Option<Arc<ClientConfig>>,
}

/// Why a server can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpServerError {
    /// The text is not the URL of an HTTP server. It may have a path, but no user and no query.
    #[error("no URL of an HTTP server")]
    NoUrl,
    /// TLS can't be set up.
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
}

/// What moves the bytes of a connection. It ends with the connection; dropping it closes it.
pub type Driver = BoxFuture<'static, Result<(), hyper::Error>>;

impl HttpServer {
    /// The server at a URL. With `https`, the system's authorities check its certificate.
    ///
    /// # Errors
    /// [`HttpServerError`]
    pub fn new(url: &str) -> Result<Self, HttpServerError> {
        let no_url = || HttpServerError::NoUrl;
        let parsed: Uri = url.parse().map_err(|_| no_url())?;
        let (port, tls) = match parsed.scheme_str() {
            Some("http") => (80, None),
            Some("https") => (443, Some(Arc::new(tls_client::config(tls_client::system_roots())?))),
            _ => return Err(no_url()),
        };
        let authority = parsed.authority().filter(|it| !it.as_str().contains('@'));
        let authority = authority.ok_or_else(no_url)?;
        if parsed.query().is_some() {
            return Err(no_url());
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| no_url())?,
            path: parsed.path().to_owned(),
            tls,
        })
    }

    /// Connects by TLS with these settings.
    #[must_use]
    pub fn with_tls(self, tls: ClientConfig) -> Self {
        Self { tls: Some(Arc::new(tls)), ..self }
    }

    /// Host name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The `Host` header of requests.
    #[must_use]
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The path of the URL as it is written; `/` if it has none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// True if connections use TLS.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// True if it runs on this host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        address.map_or_else(|_| self.host == "localhost", |it| it.to_canonical().is_loopback())
    }

    /// Opens a connection. It works while its [`Driver`] is polled.
    ///
    /// # Errors
    /// The host has no address, nothing listens there, or TLS failed.
    pub async fn connect<B>(&self) -> Result<(SendRequest<B>, Driver), AnyError>
    where
        B: Body<Data: Send, Error: Into<AnyError>> + Send + 'static,
    {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let Some(tls) = &self.tls else { return Ok(speak(stream).await?) };
        let name = ServerName::try_from(self.host.clone())?;
        Ok(speak(TlsConnector::from(tls.clone()).connect(name, stream).await?).await?)
    }
}

async fn speak<B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(SendRequest<B>, Driver), hyper::Error>
where
    B: Body<Data: Send, Error: Into<AnyError>> + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    Ok((sender, connection.boxed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_port_and_path() {
        for (url, host, port, authority, path) in [
            ("http://127.0.0.1:8083", "127.0.0.1", 8083, "127.0.0.1:8083", "/"),
            (
                "https://monitor.example.org/net/",
                "monitor.example.org",
                443,
                "monitor.example.org",
                "/net/",
            ),
            ("http://[::1]:9000/", "::1", 9000, "[::1]:9000", "/"),
            ("http://otel/v1/metrics", "otel", 80, "otel", "/v1/metrics"),
        ] {
            let server = HttpServer::new(url).unwrap();
            assert_eq!((server.host(), server.port, server.path()), (host, port, path), "{url}");
            assert_eq!(server.authority(), authority);
            assert_eq!(server.is_encrypted(), url.starts_with("https"));
        }
    }
}
