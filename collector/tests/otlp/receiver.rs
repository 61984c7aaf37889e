//! A receiver made by the test: it takes requests as they are on the wire, and answers what it is told.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These bytes.
    Bytes(Vec<u8>),
    /// None: the connection closes.
    Close,
    /// None, and the connection stays open.
    Silence,
}

impl Reply {
    /// A status with headers and a body.
    pub fn new(status: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }

    pub fn ok() -> Self {
        Self::new("200 OK", "Content-Type: application/x-protobuf\r\n", b"")
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Request line and headers.
    pub head: String,
    pub request: ExportMetricsServiceRequest,
}

/// A running receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub url: String,
    taken: Arc<Mutex<Vec<Taken>>>,
    replies: Arc<Mutex<Vec<Reply>>>,
}

impl Receiver {
    /// Answers with `replies` one by one, and from then on that it takes everything.
    pub async fn start(replies: Vec<Reply>) -> Self {
        Self::start_at("127.0.0.1:0", replies, None).await
    }

    pub async fn start_at(
        address: &str,
        mut replies: Vec<Reply>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        replies.reverse();
        let receiver = Self { url, taken: Arc::default(), replies: Arc::new(Mutex::new(replies)) };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (receiver, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => receiver.serve(stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => receiver.serve(stream).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        receiver
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        loop {
            let taken = read(&mut stream).await?;
            self.taken.lock().unwrap().push(taken);
            let reply = self.replies.lock().unwrap().pop();
            match reply.unwrap_or_else(Reply::ok) {
                Reply::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
                Reply::Close => return None,
                Reply::Silence => tokio::time::sleep(Duration::from_secs(600)).await,
            }
        }
    }

    /// The requests so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// True if every prepared reply was given, and after them there was one more request.
    pub fn is_through(&self, replies: usize) -> bool {
        self.taken.lock().unwrap().len() > replies
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Taken> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let len: usize = header("content-length").unwrap().parse().unwrap();
    let mut body = bytes.split_off(end);
    while body.len() < len {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let mut plain = Vec::new();
    match header("content-encoding") {
        Some("gzip") => drop(GzDecoder::new(&*body).read_to_end(&mut plain).unwrap()),
        None => plain = body,
        other => panic!("{other:?}"),
    }
    let request = ExportMetricsServiceRequest::decode(&*plain).unwrap();
    Some(Taken { head, request })
}
