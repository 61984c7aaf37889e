//! Veth pairs with counting qdiscs on both ends, free of any traffic that tests don't send.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::patience::wait_until;

/// One end of a pair.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The namespace of the end.
    pub space: &'a Namespace,
    /// Name of the device.
    pub dev: &'a str,
    /// The first three numbers of its IPv4 address.
    pub net: &'a str,
    /// The last number of its IPv4 address, and of its MAC address.
    pub host: u8,
}

impl End<'_> {
    fn mac(&self) -> String {
        format!("02:00:00:00:00:{:02x}", self.host)
    }

    /// Brings the end up so that it never sends by itself. New namespaces inherit IPv4 forwarding from
    /// the machine: it would answer packets to unknown hosts with ICMP errors, some seconds later.
    fn silence(&self, peer: &Self) {
        let Self { space, dev, net, host } = self;
        space.sh(&format!(
            "echo 1 > /proc/sys/net/ipv6/conf/{dev}/disable_ipv6; \
             echo 0 > /proc/sys/net/ipv4/conf/{dev}/forwarding; \
             ip link set {dev} address {mac} mtu 1500 up && \
             tc qdisc add dev {dev} root pfifo limit 100000 && \
             ip addr add {net}.{host}/24 dev {dev} && \
             ip neigh add {net}.{peer_host} lladdr {peer_mac} dev {dev} nud permanent",
            mac = self.mac(),
            peer_host = peer.host,
            peer_mac = peer.mac(),
        ));
    }
}

/// Joins two ends by a veth pair and waits for the carrier.
pub fn join(a: End<'_>, b: End<'_>) {
    let (pid_a, pid_b) = (a.space.pid(), b.space.pid());
    Namespace::own().sh(&format!(
        "ip link add {} netns {pid_a} type veth peer name {} netns {pid_b}",
        a.dev, b.dev
    ));
    a.silence(&b);
    b.silence(&a);
    let show = format!("ip -o link show {}", a.dev);
    wait_until("a carrier", || a.space.sh(&show).contains("LOWER_UP"));
}

/// A veth pair, `here` in this namespace and `there` in another.
#[derive(Debug)]
pub struct Pair {
    here: Namespace,
    there: Namespace,
}

impl Pair {
    /// 10.9.0.1 here, 10.9.0.2 there.
    #[must_use]
    pub fn new() -> Self {
        let pair = Self { here: Namespace::own(), there: Namespace::new() };
        let net = "10.9.0";
        join(
            End { space: &pair.here, dev: "here", net, host: 1 },
            End { space: &pair.there, dev: "there", net, host: 2 },
        );
        pair
    }

    /// Adds fd09::1 here and fd09::2 there, and waits until IPv6 has finished announcing itself.
    #[must_use]
    pub fn with_ipv6(self) -> Self {
        let add = "echo 0 > /proc/sys/net/ipv6/conf/DEV/router_solicitations; \
                   echo 0 > /proc/sys/net/ipv6/conf/DEV/disable_ipv6; \
                   ip addr add fd09::HERE/64 dev DEV nodad && \
                   ip neigh add fd09::PEER lladdr 02:00:00:00:00:0PEER dev DEV nud permanent";
        let add =
            |dev, host, peer| add.replace("DEV", dev).replace("HERE", host).replace("PEER", peer);
        self.here.sh(&add("here", "1", "2"));
        self.there.sh(&add("there", "2", "1"));
        // Two reports of group membership follow, each at a random time within a second (RFC 3810,
        // section 9.11).
        self.silent_for(Duration::from_millis(2500));
        self
    }

    /// Waits until nothing has passed for a while, so that the last acknowledgements have arrived.
    pub fn wait_for_silence(&self) {
        self.silent_for(Duration::from_millis(300));
    }

    fn silent_for(&self, time: Duration) {
        let mut before = (self.sent_here(), self.sent_there());
        wait_until("silence on the link", || {
            std::thread::sleep(time);
            let now = (self.sent_here(), self.sent_there());
            std::mem::replace(&mut before, now) == now
        });
    }

    /// Runs a shell command in the other namespace.
    pub fn there_sh(&self, command: &str) -> String {
        self.there.sh(command)
    }

    /// A process in the other namespace.
    #[must_use]
    pub fn there_pid(&self) -> u32 {
        self.there.pid()
    }

    /// Starts a shell command in the other namespace.
    #[must_use]
    pub fn there_spawn(&self, command: &str) -> Child {
        self.there.command("bash").args(["-c", command]).spawn().unwrap()
    }

    /// Bytes and packets that left `there`, as its qdisc counted them.
    #[must_use]
    pub fn sent_there(&self) -> (u64, u64) {
        self.there.sent("there")
    }

    /// Bytes and packets that left `here`, as its qdisc counted them.
    #[must_use]
    pub fn sent_here(&self) -> (u64, u64) {
        self.here.sent("here")
    }

    /// Turns segmentation and receive offloads of both ends on or off.
    pub fn offloads(&self, on: bool) {
        let state = if on { "on" } else { "off" };
        let set = |dev: &str| format!("ethtool -K {dev} tso {state} gso {state} gro {state}");
        self.here.sh(&set("here"));
        self.there.sh(&set("there"));
    }

    /// Sends bytes from the other namespace to this one by TCP over IPv4.
    pub fn bulk(&self, bytes: u64) {
        self.bulk_to("10.9.0.1", bytes);
    }

    /// Sends bytes from the other namespace to an address of this one by TCP, as fast as it goes.
    pub fn bulk_to(&self, address: &str, bytes: u64) {
        self.bulk_at(address, bytes, u64::MAX);
    }

    /// The same at no more than a rate in bytes per second: the receiver reads no faster, so TCP's window
    /// holds the sender back.
    pub fn bulk_at(&self, address: &str, bytes: u64, rate: u64) {
        let listener = TcpListener::bind(format!("{address}:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_at(&mut stream, rate)
        });
        let host = address.trim_matches(['[', ']']);
        // An idle receiver makes the sender send each write at once, so small writes would make small
        // packets.
        self.there_sh(&format!(
            "dd if=/dev/zero bs=1M count={bytes} iflag=count_bytes status=none \
             > /dev/tcp/{host}/{port}"
        ));
        assert_eq!(receiver.join().unwrap(), bytes);
    }
}

/// Reads a stream to its end at no more than a rate in bytes per second; returns the bytes read.
fn read_at(stream: &mut TcpStream, rate: u64) -> u64 {
    let began = Instant::now();
    let mut chunk = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let read = stream.read(&mut chunk).unwrap();
        if read == 0 {
            return total;
        }
        total += read as u64;
        let due = Duration::from_secs_f64(total as f64 / rate as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}
