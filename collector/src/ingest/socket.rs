//! The UDP socket of the agents' connections. Thousands of agents send small packets evenly over the
//! second: to be woken for each costs more than to read it. So from some rate on the socket is read at
//! fixed moments, two milliseconds apart, as network cards do with their interrupts, and QUIC's timers
//! end at the same moments.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::io::Interest;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Time between two moments. A packet waits half of it on average, far less than the 25 ms that QUIC may
/// delay an acknowledgement.
const TICK: Duration = Duration::from_millis(2);

/// Over this time the rate is measured.
const WINDOW: Duration = Duration::from_millis(50);

/// Number of packets in that time from which on moments are fixed: two between two moments.
const MANY: usize = 50;

/// Time after which a packet is sent again for which the system had no room.
const ROOM: Duration = Duration::from_millis(1);

/// Tokio for quinn, with paced sockets and timers.
#[derive(Debug)]
pub struct PacedRuntime {
    started: Instant,
}

/// Decides whether packets are awaited one by one, or read at fixed moments. Times are since any moment.
#[derive(Debug, Default, PartialEq, Eq)]
struct ReadPace {
    since: Duration,
    packets: usize,
    paced: bool,
}

/// A timer that ends at a fixed moment.
#[derive(Debug)]
struct PacedTimer {
    started: Instant,
    sleep: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct PacedSocket {
    started: Instant,
    socket: UdpSocket,
    state: UdpSocketState,
    receiving: Mutex<Receiving>,
    /// The system had no room for the newest packet.
    full: AtomicBool,
}

#[derive(Debug)]
struct Receiving {
    pace: ReadPace,
    awaited: Awaited,
}

/// What the next read waits for.
#[derive(Debug)]
enum Awaited {
    /// The system tells of each packet that comes, and of each that has left.
    Packet(tokio::net::UdpSocket),
    /// The system tells nothing.
    Moment(Pin<Box<Sleep>>),
}

/// Waits until there may be room for a packet.
#[derive(Debug)]
struct SendRoom {
    socket: Arc<PacedSocket>,
    retry: Option<Pin<Box<Sleep>>>,
}

/// The first fixed moment that isn't before `time`.
fn moment(time: Duration) -> Duration {
    let past = time.as_nanos() % TICK.as_nanos();
    // Less than a tick.
    let past = Duration::from_nanos(u64::try_from(past).unwrap_or_default());
    if past.is_zero() { time } else { time + (TICK - past) }
}

impl ReadPace {
    /// A read has brought this many packets, maybe none.
    fn on_read(&mut self, packets: usize, now: Duration) {
        self.packets += packets;
        let past = now.saturating_sub(self.since);
        if past >= WINDOW {
            // After a long silence the rate is low.
            self.paced = self.packets >= MANY && past < 2 * WINDOW;
            (self.since, self.packets) = (now, 0);
        }
    }
}

impl PacedRuntime {
    /// A runtime for one endpoint. Call it within tokio.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for PacedRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for PacedRuntime {
    fn new_timer(&self, end: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        let started = self.started;
        Box::pin(PacedTimer { started, sleep: Box::pin(sleep_until(at(started, end.into()))) })
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::new(PacedSocket::new(self.started, socket)?))
    }

    fn now(&self) -> std::time::Instant {
        TokioRuntime.now()
    }
}

/// The first fixed moment that isn't before `time`.
fn at(started: Instant, time: Instant) -> Instant {
    started + moment(time.saturating_duration_since(started))
}

impl AsyncTimer for PacedTimer {
    fn reset(mut self: Pin<&mut Self>, end: std::time::Instant) {
        let end = at(self.started, end.into());
        self.sleep.as_mut().reset(end);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.sleep.as_mut(), cx)
    }
}

impl Awaited {
    fn packet(socket: &UdpSocket) -> io::Result<Self> {
        Ok(Self::Packet(tokio::net::UdpSocket::from_std(socket.try_clone()?)?))
    }
}

impl PacedSocket {
    fn new(started: Instant, socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let awaited = Awaited::packet(&socket)?;
        let receiving = Mutex::new(Receiving { pace: ReadPace::default(), awaited });
        Ok(Self { started, socket, state, receiving, full: AtomicBool::new(false) })
    }

    /// The next fixed moment.
    fn after_now(&self) -> Instant {
        at(self.started, Instant::now() + Duration::from_nanos(1))
    }

    fn next_moment(&self) -> Awaited {
        Awaited::Moment(Box::pin(sleep_until(self.after_now())))
    }

    /// Reads once what has arrived.
    fn read(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> io::Result<usize> {
        self.state.recv((&self.socket).into(), bufs, meta)
    }
}

impl AsyncUdpSocket for PacedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(SendRoom { socket: self, retry: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.state.send((&self.socket).into(), transmit);
        let full = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.full.store(full, Ordering::Relaxed);
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        let Receiving { pace, awaited } = &mut *receiving;
        loop {
            let read = match awaited {
                Awaited::Packet(socket) => {
                    ready!(socket.poll_recv_ready(cx))?;
                    match socket.try_io(Interest::READABLE, || self.read(bufs, meta)) {
                        Ok(count) => Some(count),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                        // Of a packet sent earlier: reading clears it. If it stays, it is met at moments.
                        Err(_) => {
                            *awaited = self.next_moment();
                            continue;
                        }
                    }
                }
                Awaited::Moment(sleep) => {
                    ready!(Future::poll(sleep.as_mut(), cx));
                    let read = self.read(bufs, meta).ok();
                    if read.is_none_or(|count| count < meta.len()) {
                        sleep.as_mut().reset(self.after_now());
                    }
                    read
                }
            };
            let packets = read.map_or(0, |count| {
                meta.iter().take(count).map(|it| it.len.div_ceil(it.stride.max(1))).sum()
            });
            pace.on_read(packets, self.started.elapsed());
            match awaited {
                Awaited::Packet(_) if pace.paced => *awaited = self.next_moment(),
                Awaited::Moment(_) if !pace.paced => *awaited = Awaited::packet(&self.socket)?,
                _ => {}
            }
            if let Some(count) = read {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

impl UdpPoller for SendRoom {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.retry.is_none() && self.socket.full.load(Ordering::Relaxed) {
            self.retry = Some(Box::pin(sleep(ROOM)));
        }
        if let Some(retry) = &mut self.retry {
            ready!(Future::poll(retry.as_mut(), cx));
            self.retry = None;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn packets_are_read_at_fixed_moments_while_many_come() {
        let mut pace = ReadPace::default();
        let mut read = |packets, now| {
            pace.on_read(packets, ms(now));
            pace.paced
        };
        assert!(!read(49, 1) && !read(1, 49), "not measured yet");
        assert!(read(0, 50), "as soon as the time is over");
        assert!(read(20, 60) && read(20, 99), "until the next is over");
        assert!(!read(9, 100));
        assert!(!read(1000, 10_000), "a burst after a silence tells nothing of the rate yet");
        assert!(read(60, 10_050));
    }

    #[test]
    fn moments_are_ticks_and_none_is_too_early() {
        let us = Duration::from_micros;
        let moments = [0, 1, 1999, 2000, 2001].map(|time| moment(us(time)));
        assert_eq!(moments, [0, 2000, 2000, 2000, 4000].map(us));
        // However long the collector runs.
        let years = Duration::from_secs(10 * 365 * 86_400);
        assert_eq!(moment(years + us(1)), years + TICK);
    }

    /// Reads until this many packets have come.
    async fn read(socket: &PacedSocket, wanted: usize) {
        let (mut came, mut buf) = (0, vec![0; 8 * 2048]);
        while came < wanted {
            let mut bufs: Vec<_> = buf.chunks_mut(2048).map(IoSliceMut::new).collect();
            let mut meta = [RecvMeta::default(); 8];
            let count = poll_fn(|cx| socket.poll_recv(cx, &mut bufs, &mut meta)).await.unwrap();
            came += meta[..count].iter().map(|it| it.len / it.stride).sum::<usize>();
        }
        assert_eq!(came, wanted);
    }

    #[tokio::test]
    async fn no_packet_is_missed_when_the_pace_changes() {
        let local = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (sender, receiver) = (local(), local());
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let socket = PacedSocket::new(Instant::now(), receiver).unwrap();
        let paced = || matches!(socket.receiving.lock().unwrap().awaited, Awaited::Moment(_));
        let talk = async {
            for wanted in [true, false] {
                // First full batches and others, then few packets.
                while paced() != wanted {
                    let packets = if wanted { 12 } else { 2 };
                    for _ in 0..packets {
                        sender.send(&[7; 40]).unwrap();
                    }
                    read(&socket, packets).await;
                    if !wanted {
                        sleep(WINDOW).await;
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), talk).await.unwrap();
    }

    #[tokio::test]
    async fn a_packet_without_room_is_sent_again_after_a_while() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = Arc::new(PacedSocket::new(Instant::now(), socket).unwrap());
        let mut room = socket.clone().create_io_poller();
        poll_fn(|cx| room.as_mut().poll_writable(cx)).await.unwrap();
        socket.full.store(true, Ordering::Relaxed);
        let at_once = poll_fn(|cx| Poll::Ready(room.as_mut().poll_writable(cx).is_ready())).await;
        assert!(!at_once);
        poll_fn(|cx| room.as_mut().poll_writable(cx)).await.unwrap();
    }
}
