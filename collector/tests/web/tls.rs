//! Pages and API over TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use collector::web::{Access, CertificateFiles, HttpTls, WebLimits, own_client};
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;
use settings::InFull;
use testbed::{PATIENCE, in_time};

use crate::client::{Connection, get};
use crate::server::{Server, encrypted};

/// Writes a new certificate for another host, and its key, to a directory.
fn make(directory: &std::path::Path) -> CertificateFiles {
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["monitor.example".to_owned()]).unwrap();
    fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    CertificateFiles { cert, key }
}

async fn server(files: &CertificateFiles) -> (Server, HttpTls) {
    let tls = HttpTls::open(files.clone()).unwrap();
    let access = Access::default().with_token("0123456789abcdef");
    (encrypted(None, access, WebLimits::default(), Some(tls.clone())).await, tls)
}

/// Sends a request as a client of this host. Returns the answer or the error.
async fn ask(server: &Server, files: &CertificateFiles, request: &str) -> Result<String, String> {
    let client = Arc::new(own_client(files).unwrap());
    let (address, request) = (server.address.clone(), request.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let name = "127.0.0.1".try_into().unwrap();
        let client = ClientConnection::new(client, name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(client, stream);
        let mut answer = String::new();
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    });
    asked.await.unwrap().map_err(|error| error.in_full().to_string())
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn an_encrypted_request_is_answered_and_its_cookie_stays_encrypted() {
    let directory = tempfile::tempdir().unwrap();
    let files = make(directory.path());
    let (server, _tls) = server(&files).await;
    let answer = ask(&server, &files, HEALTH).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    let body = json!({ "token": "0123456789abcdef" }).to_string();
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(&server, &files, &request).await.unwrap();
    assert!(answer.contains("; Max-Age=2592000; Secure\r\n"), "{answer}");
}

#[tokio::test]
async fn one_who_does_not_encrypt_is_told_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _tls) = server(&make(directory.path())).await;
    let answer = get(&server.address, "/healthz").await;
    assert_eq!((answer.status, answer.body.contains("https://")), (400, true), "{}", answer.body);
    // A silent connection doesn't delay the stop.
    let _silent = Connection::connect(&server.address).await;
    server.stop.send_replace(true);
    in_time("the stop", server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_broken_one_changes_nothing() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = make(directory.path());
    let (server, tls) = server(&files).await;
    let before = other.path().join("cert.pem");
    fs::copy(&files.cert, &before).unwrap();
    let before = CertificateFiles { cert: before, key: files.key.clone() };
    make(directory.path());
    assert!(ask(&server, &files, HEALTH).await.is_err(), "not read yet");
    tls.reload().unwrap();
    assert!(ask(&server, &files, HEALTH).await.is_ok());
    assert!(ask(&server, &before, HEALTH).await.is_err(), "no other certificate is taken");
    fs::write(&files.key, "no key").unwrap();
    let error = tls.reload().unwrap_err().in_full().to_string();
    assert!(error.contains("key.pem"), "{error}");
    assert!(ask(&server, &files, HEALTH).await.is_ok());
    // A key of another certificate, and a key that others can read.
    make(other.path());
    fs::copy(other.path().join("key.pem"), &files.key).unwrap();
    let error = tls.reload().unwrap_err().in_full().to_string();
    assert!(error.contains("key.pem can't be used"), "{error}");
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(tls.reload().unwrap_err().in_full().to_string().contains("key.pem"));
}
