//! An HTTP server that records what it gets, and answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;
use testbed::wait_until;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub at: Instant,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// A status line, and headers.
    With(&'static str),
    /// None, until the other end closes.
    Never,
}

pub const OK: Reply = Reply::With("200 OK");

#[derive(Debug, Clone)]
pub struct Receiver {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    reply: Arc<Mutex<Reply>>,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Receiver {
    pub fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap().to_string(),
            requests: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
        };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream.unwrap()));
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?key=a%20b", self.address)
    }

    pub fn reply(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits for this many requests.
    pub fn wait(&self, number: usize) -> Vec<Request> {
        let what = format!("{number} requests");
        wait_until(&what, || self.requests.lock().unwrap().len() >= number);
        self.requests()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let header = |line: &String| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        };
        let headers: Vec<_> = lines[1..].iter().map(header).collect();
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let mut body = vec![0; length.map_or(0, |(_, it)| it.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        let body = String::from_utf8(body).unwrap();
        let reply = *self.reply.lock().unwrap();
        self.requests.lock().unwrap().push(Request { at: Instant::now(), path, headers, body });
        match reply {
            Reply::With(head) => {
                let _gone = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\nno");
            }
            Reply::Never => {
                let _closed = stream.read(&mut [0]);
            }
        }
    }
}
