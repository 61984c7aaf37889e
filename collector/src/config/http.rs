//! Section `http`: address and access control of dashboard, API and metrics.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::HeaderName;
use serde::{Deserialize, Serialize};
use settings::{Interval, Problem};

use super::http_limits::HttpLimits;
use super::listen::check_listen;
use crate::secret_file;
use crate::web::{Access, CertificateFiles};

/// Shortest allowed token, characters.
const TOKEN_MIN: usize = 16;

/// Section `http`: dashboard, API and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address or host name to listen on.
    pub host: String,
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// Further names that the `Host` of a request may have, beside the collector's addresses.
    #[serde(deserialize_with = "settings::list")]
    pub names: Vec<String>,
    /// File whose first line is the token for API, metrics and dashboard.
    pub token_file: Option<PathBuf>,
    /// Header in which a proxy names the authenticated user.
    pub proxy_header: Option<String>,
    /// Header in which a proxy names the address of its client.
    pub address_header: Option<String>,
    /// Addresses of trusted proxies.
    #[serde(deserialize_with = "settings::list")]
    pub proxies: Vec<String>,
    /// Serve without authentication beyond loopback.
    pub unprotected: bool,
    /// Certificate and key for HTTPS.
    pub tls: CertificatePaths,
    /// Look up names of talkers' addresses by this host's resolver when a reader asks for them.
    pub dns: bool,
    /// How long a browser stays signed in; 1 min to 365 d.
    pub session_time: Interval,
    /// Limits on connections, queries and streams.
    pub limits: HttpLimits,
}

/// Section `http.tls`. Set both keys or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificatePaths {
    /// PEM file with the certificate, followed by its intermediates.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
}

impl CertificatePaths {
    /// The files. `None`: plain HTTP.
    ///
    /// # Errors
    /// Only one of the two is set.
    pub fn files(&self) -> Result<Option<CertificateFiles>, Problem> {
        let missing =
            |key| Problem::new(key, "not set; set http.tls.cert and http.tls.key, or none");
        match (self.cert.clone(), self.key.clone()) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some(CertificateFiles { cert, key })),
            (None, _) => Err(missing("http.tls.cert")),
            (_, None) => Err(missing("http.tls.key")),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8083,
            names: Vec::new(),
            token_file: None,
            proxy_header: None,
            address_header: None,
            proxies: Vec::new(),
            unprotected: false,
            tls: CertificatePaths::default(),
            dns: false,
            session_time: Interval::days(30),
            limits: HttpLimits::default(),
        }
    }
}

impl Http {
    pub(super) fn check(&self) -> Result<(), Problem> {
        check_listen("http.host", &self.host)?;
        self.access_without_token()?;
        let times = Interval::secs(60)..=Interval::days(365);
        Problem::unless_within("http.session_time", &self.session_time, &times)?;
        self.tls.files()?;
        self.limits.check()?;
        match self.host.parse() {
            Ok(address) => self.check_address(address),
            // A name is looked up at the start only.
            Err(_) => Ok(()),
        }
    }

    /// Beyond loopback, authentication is required, unless `unprotected` is set.
    ///
    /// # Errors
    /// Authentication is missing.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Problem> {
        let asked = self.token_file.is_some() || self.proxy_header.is_some();
        let sound = address.to_canonical().is_loopback() || asked || self.unprotected;
        Problem::unless(sound, "http.host", || {
            format!(
                "{address} can be reached from other hosts, so authentication is required; set \
                 http.token_file or http.proxy_header, or http.unprotected: true"
            )
        })
    }

    /// A warning if headers are set but no proxy is listed.
    #[must_use]
    pub fn unbelieved(&self) -> Option<String> {
        let header = self.proxy_header.as_ref().or(self.address_header.as_ref());
        let header = header.filter(|_| self.proxies.is_empty())?;
        Some(format!(
            "http.proxies: no proxy is listed, so {header} is ignored; write for example \
             [192.0.2.7], or [127.0.0.1, \"::1\"] if every user of this machine may see \
             everything"
        ))
    }

    /// The access control. Reads the token file.
    ///
    /// # Errors
    /// An invalid value, or a token file that can't be read or has no token.
    pub fn access(&self) -> Result<Access, Problem> {
        let access = self.access_without_token()?;
        let Some(file) = &self.token_file else { return Ok(access) };
        let refused = |why| Problem::new("http.token_file", why);
        Ok(access.with_token(&read_token(file).map_err(refused)?))
    }

    /// The allowed names: `http.names`, and the host name that it listens on.
    #[must_use]
    pub fn all_names(&self) -> Vec<String> {
        self.names.iter().chain([&self.host]).cloned().collect()
    }

    /// The URL of the dashboard on this host.
    #[must_use]
    pub fn url(&self) -> String {
        let host = match self.host.parse() {
            Ok(IpAddr::V4(any)) if any.is_unspecified() => "127.0.0.1".to_owned(),
            Ok(IpAddr::V6(any)) if any.is_unspecified() => "[::1]".to_owned(),
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        let scheme = if self.tls.cert.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}", self.port)
    }

    fn access_without_token(&self) -> Result<Access, Problem> {
        let mut proxies = Vec::new();
        for proxy in &self.proxies {
            let why = || format!("{proxy:?} is no address; write for example 192.0.2.7");
            proxies.push(proxy.parse().map_err(|_| Problem::new("http.proxies", why()))?);
        }
        let access = Access::default().with_proxies(&proxies);
        let mut access = access.with_session_time(self.session_time.0);
        if let Some(name) = self.header("http.proxy_header", self.proxy_header.as_deref())? {
            access = access.with_users(name);
        }
        if let Some(name) = self.header("http.address_header", self.address_header.as_deref())? {
            access = access.with_addresses(name);
        }
        Ok(access)
    }

    /// Checks the name of a header that proxies set.
    fn header(&self, key: &'static str, name: Option<&str>) -> Result<Option<HeaderName>, Problem> {
        let Some(name) = name else { return Ok(None) };
        let why = || format!("{name:?} is no header's name; write for example Remote-User");
        name.parse().map(Some).map_err(|_| Problem::new(key, why()))
    }
}

/// The token on the first line of a file.
///
/// # Errors
/// The reason, with the file and the remedy.
pub fn read_token(file: &Path) -> Result<String, String> {
    let line = secret_file::first_line(file, "write a token to it: `openssl rand -hex 32`")?;
    let token = line.trim();
    if token.len() < TOKEN_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "{}: its first line is no token of {TOKEN_MIN} or more letters and digits; make one \
             with `openssl rand -hex 32`",
            file.display()
        ));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_to_listen_on_is_one_to_be_called_by() {
        let names = vec!["netmon".to_owned()];
        let http = Http { host: "monitor.lan".into(), names, ..Http::default() };
        assert_eq!(http.all_names(), ["netmon", "monitor.lan"]);
    }

    #[test]
    fn headers_of_proxies_are_believed_of_proxies_that_are_named() {
        let check = |http: Http| http.check().map_err(|problem| problem.to_string());
        let users = Http { proxy_header: Some("Remote-User".into()), ..Http::default() };
        let addresses = Http { address_header: Some("X-Real-IP".into()), ..Http::default() };
        for (http, header) in [(users, "Remote-User"), (addresses, "X-Real-IP")] {
            assert_eq!(check(http.clone()), Ok(()), "an older config still starts");
            let told = http.unbelieved().unwrap();
            assert!(told.contains("http.proxies") && told.contains(header), "{told}");
            let named = Http { proxies: vec!["192.0.2.7".into()], ..http };
            assert_eq!((check(named.clone()), named.unbelieved()), (Ok(()), None));
        }
        assert_eq!(Http::default().unbelieved(), None);
        let wrong = Http { address_header: Some("a b".into()), ..Http::default() };
        assert!(check(wrong).unwrap_err().contains("http.address_header"));
    }

    #[test]
    fn an_address_that_stands_for_all_is_reached_on_the_loopback() {
        let url = |host: &str| Http { host: host.into(), ..Http::default() }.url();
        for (host, expected) in [
            ("127.0.0.1", "http://127.0.0.1:8083"),
            ("0.0.0.0", "http://127.0.0.1:8083"),
            ("::", "http://[::1]:8083"),
            ("2001:db8::1", "http://[2001:db8::1]:8083"),
            ("monitor.example.org", "http://monitor.example.org:8083"),
        ] {
            assert_eq!(url(host), expected);
        }
    }
}
