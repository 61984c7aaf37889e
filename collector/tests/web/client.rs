//! A small HTTP client: requests and answers as raw text.

use serde_json::Value;
use testbed::in_time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Requests a path.
pub async fn get(address: &str, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost")).await
}

/// Sends a request without body on a new connection.
pub async fn send(address: &str, head: &str) -> Answer {
    post(address, head, "").await
}

/// Sends a request with a body on a new connection.
pub async fn post(address: &str, head: &str, body: &str) -> Answer {
    let mut connection = Connection::connect(address).await;
    connection.write(&format!("{head}\r\nConnection: close\r\n\r\n{body}")).await;
    let answer = connection.rest().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

/// The contents of all chunks of a body, which is whole.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body += &rest[..length];
        chunks = rest[length..].strip_prefix("\r\n").unwrap();
    }
}

/// Requests a path and accepts compression. Returns the head and the raw body.
pub async fn get_compressed(address: &str, path: &str) -> (String, Vec<u8>) {
    let mut connection = Connection::connect(address).await;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip, br");
    connection.write(&format!("{request}\r\n\r\n")).await;
    let head = connection.head().await;
    let mut body = std::mem::take(&mut connection.raw);
    in_time("the body", connection.stream.read_to_end(&mut body)).await.unwrap();
    (head, body)
}

/// An open connection.
pub struct Connection {
    stream: TcpStream,
    /// The head of the answer.
    pub head: String,
    /// Received and not yet read: for a chunked body, the contents of the chunks.
    body: String,
    /// Received and not yet parsed.
    raw: Vec<u8>,
}

impl Connection {
    pub async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream, head: String::new(), body: String::new(), raw: Vec::new() }
    }

    /// Requests a path and reads the head of the answer.
    pub async fn open(address: &str, path: &str) -> Self {
        let mut connection = Self::connect(address).await;
        connection.write(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        connection.head = connection.head().await;
        connection
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> String {
        self.raw_until(b"\r\n\r\n").await
    }

    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Writes. Returns false if the other side has closed the connection.
    pub async fn try_write(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// Reads available bytes; 0 at the end.
    pub async fn read_some(&mut self, most: usize) -> usize {
        let mut some = vec![0; most];
        in_time("some bytes", self.stream.read(&mut some)).await.unwrap_or(0)
    }

    /// Reads everything up to the end of the connection.
    pub async fn rest(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.raw);
        // A server that refuses early may reset the connection after its answer.
        let _reset = in_time("the end", self.stream.read_to_end(&mut bytes)).await;
        String::from_utf8(bytes).unwrap()
    }

    /// The body of an answer with a length.
    pub async fn body(&mut self) -> String {
        let head = self.raw_until(b"\r\n\r\n").await.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        let bytes = self.raw_bytes(length.trim().parse().unwrap()).await;
        String::from_utf8(bytes).unwrap()
    }

    /// The next event of a stream, and its data.
    pub async fn event(&mut self) -> (String, Value) {
        loop {
            let text = self.block().await;
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(event), Some(data)) = (field("event: "), field("data: ")) {
                assert_eq!(text.lines().count(), 2, "an event and its data: {text}");
                return (event.to_owned(), serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The text before the next empty line of a chunked body.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.body.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.body = rest;
                return block;
            }
            let size = self.raw_until(b"\r\n").await;
            let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
            let mut chunk = self.raw_bytes(size + 2).await;
            chunk.truncate(size);
            self.body.push_str(&String::from_utf8(chunk).unwrap());
        }
    }

    async fn raw_until(&mut self, end: &[u8]) -> String {
        loop {
            let found = self.raw.windows(end.len()).position(|window| window == end);
            if let Some(position) = found {
                let bytes = self.raw_bytes(position + end.len()).await;
                return String::from_utf8(bytes).unwrap();
            }
            self.read().await;
        }
    }

    async fn raw_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.raw.len() < count {
            self.read().await;
        }
        let rest = self.raw.split_off(count);
        std::mem::replace(&mut self.raw, rest)
    }

    async fn read(&mut self) {
        let read = in_time("an answer", self.stream.read_buf(&mut self.raw)).await.unwrap();
        assert!(read > 0, "the connection has ended");
    }
}
