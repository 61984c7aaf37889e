//! What the tests of capture share.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it, and may panic")]

pub mod watched;

use std::io::Read;
use std::net::TcpListener;
use std::thread::JoinHandle;

use testbed::Pair;

/// Receives on a port of this namespace until the other end has sent `bytes`.
pub fn receive_tcp(address: &str, bytes: u64) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut left = bytes;
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap() as u64;
        }
    });
    (port, receiver)
}

/// Sends from the other namespace to this one.
pub fn bulk_tcp(pair: &Pair, here: &str, bytes: u64) {
    let (port, receiver) = receive_tcp(&format!("{here}:0"), bytes);
    let host = here.trim_matches(['[', ']']);
    pair.there_sh(&format!("head -c {bytes} /dev/zero > /dev/tcp/{host}/{port}"));
    receiver.join().unwrap();
}
