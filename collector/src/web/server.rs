//! The HTTP server: accepts connections within limits, and ends them when told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use settings::{Failures, way_out};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::access::Peer;
use super::stopped;

/// Connections that may be open at the same time. More wait to be accepted.
const CONNECTIONS_MAX: usize = 512;

/// Most headers of a request, and most bytes of them with the request line.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Longest time that a connection may take for the headers of its next request.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// Longest time that open requests get to end.
const GRACE: Duration = Duration::from_millis(1500);

/// Longest time that what is sent may wait for the other side, milliseconds: one that reads no
/// more loses its connection, so that it takes no place from others.
const STALLED_MS: u32 = 10_000;

/// Wait after a connection could not be accepted: too many files are open, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Serves until `stop` is true or its sender is gone.
pub(super) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX);
    let service = TowerToHyperService::new(router);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut failures = Failures::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, peer, place)) => {
                    failures.succeeded();
                    let service = service.clone();
                    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                        request.extensions_mut().insert(Peer(peer));
                        service.call(request)
                    });
                    let connection = http.serve_connection(TokioIo::new(stream), service);
                    let connection = graceful.watch(connection);
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "an HTTP connection was broken off");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    if let Some(tell) = failures.failed(error.raw_os_error(), Instant::now()) {
                        let way_out = way_out(&error, "more are accepted as soon as that works");
                        tracing::warn!(%error, "HTTP connections can't be accepted: {way_out}{tell}");
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::debug!(open = connections.len(), "HTTP requests were broken off");
    }
    connections.shutdown().await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Updates are small and are wanted at once.
    stream.set_nodelay(true)?;
    setsockopt(&stream, TcpUserTimeout, &STALLED_MS)?;
    Ok((stream, peer, place))
}
