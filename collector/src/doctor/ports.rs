//! Checks the ports: free, or used by the running collector, whose state is queried.

use std::io::{self, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket,
};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use settings::{Finding, InFull};

use crate::config::Config;
use crate::web::{CertificateFiles, own_client};

/// Time limit for a running collector's answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let (server, http) = (&config.server, &config.http);
    let mut findings = Vec::new();
    let page = resolve("http.host", &http.host, http.port);
    let tls = http.tls.files().ok().flatten();
    let running = page.as_ref().ok().and_then(|address| ask(*address, tls.as_ref()).ok());
    match resolve("server.host", &server.host, server.port) {
        Ok(address) => {
            let bound = UdpSocket::bind(address).map(drop);
            let name = format!("UDP {address}");
            findings.push(port("agents' port", &name, "server", bound, running.is_some()));
        }
        Err(text) => findings.push(Finding::fail("agents' port", text)),
    }
    match page {
        Ok(address) => {
            let bound = TcpListener::bind(address).map(drop);
            let name = format!("TCP {address}");
            findings.push(port("HTTP port", &name, "http", bound, running.is_some()));
        }
        Err(text) => findings.push(Finding::fail("HTTP port", text)),
    }
    findings.extend(running.map(|(ready, body)| service(ready, &body)));
    findings
}

fn resolve(key: &str, host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = (host, port).to_socket_addrs().map(|mut found| found.next());
    match found {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(format!("{host} has no address here; set {key}")),
        Err(error) => Err(format!("{host} has no address here: {}; set {key}", error.in_full())),
    }
}

fn port(
    subject: &'static str,
    name: &str,
    section: &str,
    bound: io::Result<()>,
    runs: bool,
) -> Finding {
    match bound {
        Ok(()) => Finding::ok(subject, format!("{name} is free; no collector listens on it now")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && runs => {
            Finding::ok(subject, format!("{name} is used, and a collector runs"))
        }
        Err(error) => Finding::fail(
            subject,
            format!(
                "{name}: {}; set {section}.host and {section}.port, or stop what uses it",
                error.in_full()
            ),
        ),
    }
}

/// Asks the running collector whether it is ready, and for its notices.
fn ask(address: SocketAddr, tls: Option<&CertificateFiles>) -> io::Result<(bool, String)> {
    let local: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let stream = TcpStream::connect_timeout(&(local, address.port()).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(files) = tls else { return ready(stream) };
    let client = Arc::new(own_client(files).map_err(io::Error::other)?);
    let client = ClientConnection::new(client, local.into()).map_err(io::Error::other)?;
    ready(StreamOwned::new(client, stream))
}

fn ready(mut stream: impl Read + Write) -> io::Result<(bool, String)> {
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(1 << 16).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !["200", "503"].contains(&status) {
        return Err(io::Error::other("no collector"));
    }
    Ok((status == "200", body.to_owned()))
}

fn service(ready: bool, body: &str) -> Finding {
    const SUBJECT: &str = "service";
    let body = body.trim();
    let said = body.strip_prefix("ready").unwrap_or(body).trim();
    match (ready, said) {
        (true, "") => Finding::ok(SUBJECT, "runs and is ready"),
        (true, notice) => Finding::warn(SUBJECT, notice.to_owned()),
        (false, why) => Finding::fail(SUBJECT, format!("runs and is not ready: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use settings::Level;

    use super::*;

    #[test]
    fn a_port_that_another_program_uses_is_told_with_its_key() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let name = other.local_addr().unwrap();
        let bound = || UdpSocket::bind(name).map(drop);
        let found = port("agents' port", "UDP 127.0.0.1:1", "server", bound(), false);
        assert_eq!(found.level, Level::Fail);
        assert!(found.text.contains("server.port"), "{found:?}");
        assert_eq!(port("agents' port", "", "server", bound(), true).level, Level::Ok);
    }

    #[test]
    fn what_a_running_collector_says_of_itself_is_told() {
        assert_eq!(service(true, "ready\n").level, Level::Ok);
        let notice = service(true, "ready\nthe clock is 2 h ahead\n");
        assert_eq!((notice.level, notice.text.as_str()), (Level::Warn, "the clock is 2 h ahead"));
        assert_eq!(service(false, "disk full\n").level, Level::Fail);
    }
}
