//! The HTTP server: accepts connections within limits, and ends them at shutdown.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use settings::{Failures, InFull, way_out};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::access::{Access, RequestOrigin};
use super::activity::Activity;
use super::app::stopped;
use super::guard::Encrypted;
use super::limits::{WebLimits, refused};
use super::places::{Admission, Id, Places};
use super::tls::HttpTls;
use super::watched::{Ended, WatchedStream};
use crate::metrics::HTTP_CONNECTIONS;
use crate::time::boot;

/// Most headers of a request. Their bytes, with the request line, are limited too.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// How long open requests get to end.
const GRACE: Duration = Duration::from_millis(1500);

/// Wait after an error of accept, most likely too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Interval between checks for connections over their time.
const LOOK: Duration = Duration::from_secs(1);

/// Answer to a connection without a place.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 44\r\n\r\n\
    too many connections are open; try it again\n";

/// Answer to a client that doesn't encrypt on a TLS port.
const NOT_ENCRYPTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 40\r\n\r\n\
    this port speaks TLS only: use https://\n";

/// The first byte of TLS: the type of a handshake's record.
const TLS_HANDSHAKE: u8 = 22;

/// The connections, and a handle to abort each.
#[derive(Clone)]
struct Open(Arc<Mutex<(Places, HashMap<Id, AbortHandle>)>>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, (Places, HashMap<Id, AbortHandle>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection if there is a place.
    fn admit(&self, access: &Access, peer: SocketAddr, activity: &Arc<Activity>) -> Option<Id> {
        let from = access.rule().behind(peer.ip());
        let (places, handles) = &mut *self.lock();
        match places.admit(from, activity.clone()) {
            Admission::Admitted(id, instead_of) => {
                tell(places);
                if let Some(ended) = instead_of.and_then(|other| handles.remove(&other)) {
                    refused("connections");
                    ended.abort();
                }
                Some(id)
            }
            Admission::Refused(limit) => {
                refused(limit);
                None
            }
        }
    }

    /// Keeps the abort handle of a connection, unless it has ended already.
    fn keep(&self, id: Id, handle: AbortHandle) {
        let (places, handles) = &mut *self.lock();
        if places.has(id) {
            handles.insert(id, handle);
        }
    }

    /// Ends the connections over their time.
    fn end_overdue(&self, now: Duration) {
        let (places, handles) = &mut *self.lock();
        for (id, limit) in places.overdue(now) {
            places.leave(id);
            if let Some(ended) = handles.remove(&id) {
                if limit != "idle_time" {
                    refused(limit);
                }
                ended.abort();
            }
        }
        tell(places);
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn tell(places: &Places) {
    metrics::gauge!(HTTP_CONNECTIONS).set(places.len() as f64);
}

/// The place of a connection. Dropping it gives it back.
struct Place {
    open: Open,
    id: Id,
}

impl Drop for Place {
    fn drop(&mut self) {
        let (places, handles) = &mut *self.open.lock();
        places.leave(self.id);
        handles.remove(&self.id);
        tell(places);
    }
}

/// Serves until `stop` is true or its sender is gone.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<HttpTls>,
    access: Access,
    limits: WebLimits,
    mut stop: watch::Receiver<bool>,
) {
    let open = Open(Arc::new(Mutex::new((Places::new(limits), HashMap::new()))));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut failures = Failures::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            _ = look.tick() => open.end_overdue(boot()),
            accepted = accept(&listener, limits.send_time) => match accepted {
                Ok((stream, peer)) => {
                    failures.succeeded();
                    let activity = Arc::new(Activity::accepted(boot()));
                    let Some(id) = open.admit(&access, peer, &activity) else {
                        if tls.is_none() {
                            tell_and_close(&stream, NO_PLACE);
                        }
                        continue;
                    };
                    let place = Place { open: open.clone(), id };
                    let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
                    let task = connections.spawn(async move {
                        talk(stream, peer, tls, activity, router, watcher).await;
                        drop(place);
                    });
                    open.keep(id, task);
                }
                Err(error) => {
                    if let Some(tell) = failures.failed(error.raw_os_error(), Instant::now()) {
                        let way_out = way_out(&error, "more are accepted as soon as that works");
                        tracing::warn!(error = %error.in_full(), "HTTP connections can't be accepted: {way_out}{tell}");
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

/// Accepts the next connection. The kernel ends it too if what was sent remains unacknowledged for
/// `send_time`.
async fn accept(
    listener: &TcpListener,
    send_time: Duration,
) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // Updates are small and urgent.
    stream.set_nodelay(true)?;
    let send_ms = u32::try_from(send_time.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&stream, TcpUserTimeout, &send_ms)?;
    Ok((stream, peer))
}

/// Writes as much of the text as the socket takes, and closes. Reads first what the client has sent;
/// left unread, it would reset the connection.
fn tell_and_close(stream: &TcpStream, text: &[u8]) {
    let mut taken = [0; 4096];
    let _taken = stream.try_read(&mut taken);
    let _told = stream.try_write(text);
}

/// Answers the requests of a connection, encrypted or not.
async fn talk(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<HttpTls>,
    activity: Arc<Activity>,
    router: Router,
    watcher: Watcher,
) {
    let Some(tls) = tls else {
        return answer(stream, peer, Encrypted(false), activity, router, watcher).await;
    };
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first == [TLS_HANDSHAKE] => {}
        Ok(1) => return tell_and_close(&stream, NOT_ENCRYPTED),
        _ => return,
    }
    match tls.acceptor().accept(stream).await {
        Ok(stream) => answer(stream, peer, Encrypted(true), activity, router, watcher).await,
        Err(error) => tracing::debug!(error = %error.in_full(), "TLS of an HTTP connection failed"),
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    encrypted: Encrypted,
    activity: Arc<Activity>,
    router: Router,
    watcher: Watcher,
) {
    let stream = TokioIo::new(WatchedStream::new(stream, activity.clone()));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, activity) = (router.clone(), activity.clone());
        let has_body = !hyper::body::Body::is_end_stream(request.body());
        activity.on_request(has_body, boot());
        let mut request =
            request.map(|body| Body::new(Ended::new(body, activity.clone(), Activity::on_body)));
        request.extensions_mut().insert(RequestOrigin(peer));
        request.extensions_mut().insert(encrypted);
        async move {
            let response = TowerToHyperService::new(router).call(request).await?;
            let ended = |body| Ended::new(body, activity, Activity::on_answer);
            Ok::<_, Infallible>(response.map(ended))
        }
    });
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_headers(HEADERS_MAX).max_header_size(HEADER_BYTES_MAX);
    if let Err(error) = watcher.watch(http.serve_connection(stream, service)).await {
        tracing::debug!(error = %error.in_full(), "an HTTP connection was broken off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_handle_is_kept_of_a_connection_that_has_ended_already() {
        let open = Open(Arc::new(Mutex::new((Places::new(WebLimits::default()), HashMap::new()))));
        let (access, peer) = (Access::default(), SocketAddr::from(([192, 0, 2, 1], 1)));
        for ended_first in [true, false] {
            let activity = Arc::new(Activity::accepted(Duration::ZERO));
            let id = open.admit(&access, peer, &activity).expect("there is room");
            let place = Some(Place { open: open.clone(), id });
            let handle = tokio::spawn(std::future::ready(())).abort_handle();
            let place = place.filter(|_| !ended_first);
            open.keep(id, handle);
            assert_eq!(open.lock().1.len(), usize::from(!ended_first));
            drop(place);
            assert!(open.lock().1.is_empty());
        }
    }
}
