//! Section `export.otlp`: where metrics go, and how.

use std::path::PathBuf;
use std::time::Duration;

use hyper::http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};
use settings::{InFull, Interval, Problem, Size};

use super::headers::HeaderFile;
use crate::http_client::{HttpServer, HttpServerError};
use crate::tls_client::TrustedAuthorities;

/// Where OTLP/HTTP receivers take metrics, if the URL has no path.
const METRICS_PATH: &str = "/v1/metrics";

/// Section `export.otlp`: metrics for an OpenTelemetry receiver. Without `url` nothing is exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSection {
    /// URL of the receiver (OTLP/HTTP, protobuf). Without a path, `/v1/metrics` is added.
    pub url: Option<String>,
    /// File with headers to send, one `Name: value` per line.
    pub headers_file: Option<PathBuf>,
    /// PEM file of the authorities that sign the receiver's certificate; default: the system's.
    pub ca: Option<PathBuf>,
    /// Time between exports; 1 s to 1 h.
    pub interval: Interval,
    /// Time limit of a request, from connecting to the answer; 100 ms to 1 min.
    pub timeout: Interval,
    /// Compress requests.
    pub gzip: bool,
    /// Memory of requests that wait for the receiver; 64 KiB to 1 GiB.
    pub max_memory: Size,
}

impl Default for OtlpSection {
    fn default() -> Self {
        Self {
            url: None,
            headers_file: None,
            ca: None,
            interval: Interval::secs(10),
            timeout: Interval::secs(10),
            gzip: true,
            max_memory: Size::mib(16),
        }
    }
}

/// A receiver, and how to export to it.
#[derive(Debug, Clone)]
pub struct OtlpTarget {
    /// The receiver.
    pub(super) server: HttpServer,
    /// Path of its metrics.
    pub(super) path: PathAndQuery,
    /// Headers to send.
    pub(super) headers: Option<HeaderFile>,
    /// Time between exports.
    pub(super) interval: Duration,
    /// Time limit of a request.
    pub(super) timeout: Duration,
    /// Compress requests.
    pub(super) gzip: bool,
    /// Memory of requests that wait, bytes.
    pub(super) max_memory: usize,
}

impl OtlpSection {
    /// Checks every value that can be checked without reading a file.
    ///
    /// # Errors
    /// The first value that can't be.
    pub fn check(&self) -> Result<(), Problem> {
        let within = Problem::unless_within;
        within(
            "export.otlp.interval",
            &self.interval,
            &(Interval::secs(1)..=Interval::secs(3600)),
        )?;
        let timeouts = Interval::millis(100)..=Interval::secs(60);
        within("export.otlp.timeout", &self.timeout, &timeouts)?;
        let memory = Size::kib(64)..=Size::mib(1024);
        Problem::unless_within("export.otlp.max_memory", &self.max_memory, &memory)?;
        let server = self.server()?;
        let given = [
            ("export.otlp.headers_file", self.headers_file.is_some()),
            ("export.otlp.ca", self.ca.is_some()),
        ];
        let idle = given.into_iter().find(|(_, given)| *given && server.is_none());
        if let Some((key, _)) = idle {
            return Err(Problem::new(
                key,
                "set without export.otlp.url; set the URL, or leave it out",
            ));
        }
        let encrypted = server.is_none_or(|(server, _)| server.is_encrypted());
        Problem::unless(encrypted || self.ca.is_none(), "export.otlp.ca", || {
            "set, but export.otlp.url is not encrypted; begin the URL with https://, or leave ca out"
                .to_owned()
        })
    }

    /// The receiver. `None`: nothing is exported. Reads the files of headers and authorities.
    ///
    /// # Errors
    /// A value can't be, or a file can't be used.
    pub fn target(&self) -> Result<Option<OtlpTarget>, Problem> {
        let Some((mut server, path)) = self.server()? else { return Ok(None) };
        if let Some(file) = &self.ca {
            let refused = |error: String| Problem::new("export.otlp.ca", error);
            let tls = TrustedAuthorities::read(file).map_err(refused)?.config();
            server = server.with_tls(tls.map_err(|error| refused(error.in_full().to_string()))?);
        }
        let headers = self.headers_file.clone().map(HeaderFile::new);
        if let Some(headers) = &headers {
            let read = headers.read();
            read.map_err(|why| Problem::new("export.otlp.headers_file", why))?;
        }
        Ok(Some(OtlpTarget {
            server,
            path,
            headers,
            interval: self.interval.0,
            timeout: self.timeout.0,
            gzip: self.gzip,
            max_memory: usize::try_from(self.max_memory.0).unwrap_or(usize::MAX),
        }))
    }

    /// A warning if headers can be read on the way.
    #[must_use]
    pub fn exposed(&self) -> Option<String> {
        let (server, _) = self.server().ok().flatten()?;
        let exposed = self.headers_file.is_some() && !server.is_encrypted() && !server.is_local();
        exposed.then(|| {
            "export.otlp.url: the headers of export.otlp.headers_file travel unencrypted; use a \
             URL with https://"
                .to_owned()
        })
    }

    fn server(&self) -> Result<Option<(HttpServer, PathAndQuery)>, Problem> {
        let Some(url) = &self.url else { return Ok(None) };
        let refused = |why: String| Problem::new("export.otlp.url", why);
        // The URL itself is not shown, because it may hold a password.
        let no_url = || {
            "not the URL of a receiver, without user and query; write for example \
             http://127.0.0.1:4318, and put credentials into export.otlp.headers_file"
                .to_owned()
        };
        let server = HttpServer::new(url).map_err(|error| match error {
            HttpServerError::NoUrl => refused(no_url()),
            error @ HttpServerError::Tls(_) => refused(error.in_full().to_string()),
        })?;
        let path = if server.path() == "/" { METRICS_PATH } else { server.path() };
        let path = path.parse().map_err(|_| refused(no_url()))?;
        Ok(Some((server, path)))
    }
}

impl OtlpTarget {
    /// The URL that takes the metrics.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.server.is_encrypted() { "https" } else { "http" };
        let authority = self.server.authority().to_str().unwrap_or_default();
        format!("{scheme}://{authority}{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> OtlpSection {
        OtlpSection { url: Some(url.to_owned()), ..OtlpSection::default() }
    }

    #[test]
    fn nothing_is_exported_unless_there_is_a_url() {
        assert_eq!(OtlpSection::default().check(), Ok(()));
        assert!(OtlpSection::default().target().unwrap().is_none());
    }

    #[test]
    fn a_url_without_a_path_gets_the_one_of_the_protocol() {
        for (url, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
            ("https://otel.example.org/", "https://otel.example.org/v1/metrics"),
            (
                "http://[::1]:9090/api/v1/otlp/v1/metrics",
                "http://[::1]:9090/api/v1/otlp/v1/metrics",
            ),
        ] {
            assert_eq!(at(url).target().unwrap().unwrap().url(), expected);
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_key() {
        let file = || Some(PathBuf::from("/x"));
        let default = OtlpSection::default;
        for (section, key) in [
            (at("127.0.0.1:4318"), "export.otlp.url"),
            (at("grpc://127.0.0.1:4317"), "export.otlp.url"),
            (at("https://me:hunter2@otel.example.org"), "export.otlp.url"),
            (at("https://otel.example.org/?key=hunter2"), "export.otlp.url"),
            (OtlpSection { headers_file: file(), ..default() }, "export.otlp.headers_file"),
            (OtlpSection { ca: file(), ..default() }, "export.otlp.ca"),
            (OtlpSection { ca: file(), ..at("http://otel") }, "export.otlp.ca"),
            (OtlpSection { interval: Interval::millis(10), ..default() }, "export.otlp.interval"),
            (OtlpSection { timeout: Interval::secs(600), ..default() }, "export.otlp.timeout"),
            (OtlpSection { max_memory: Size::kib(1), ..default() }, "export.otlp.max_memory"),
        ] {
            let problem = section.check().unwrap_err();
            assert_eq!(problem.key, key);
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn files_that_can_not_be_read_are_named_with_their_key() {
        let missing = || Some(PathBuf::from("/nowhere/file"));
        let ca = OtlpSection { ca: missing(), ..at("https://otel") }.target().unwrap_err();
        assert_eq!(ca.key, "export.otlp.ca");
        let headers = OtlpSection { headers_file: missing(), ..at("https://otel") };
        let headers = headers.target().unwrap_err();
        assert_eq!(headers.key, "export.otlp.headers_file");
        assert!(headers.why.contains("/nowhere/file"), "{headers}");
    }

    #[test]
    fn headers_that_can_be_read_on_the_way_are_told() {
        let with = |url| OtlpSection { headers_file: Some("/x".into()), ..at(url) };
        assert!(with("http://otel.example.org").exposed().is_some());
        for url in ["https://otel.example.org", "http://127.0.0.1:4318", "http://localhost:4318"] {
            assert_eq!(with(url).exposed(), None, "{url}");
        }
        assert_eq!(at("http://otel.example.org").exposed(), None);
    }
}
