//! Whose a flow is, with real sockets in real cgroups. The test makes every socket itself, moving into a
//! cgroup before, so it knows the truth.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Instant;

use agent::clocks::boot_ns;
use agent::owner::{Lookup, OwnerQuestion, SETTLED};
use agent::talkers::{SeenSockets, SocketPair};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use testbed::{Cgroups, Namespace, in_namespace, sh, wait_until};
use wire::BootNs;
use wire::talkers::{KeyKind, OwnerKind, TalkerOwner};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const UID: &str = "2ca4a155-3599-498d-bb9d-4446693fa3ea";

/// A lookup that hears of closed sockets from now on.
fn lookup() -> Lookup {
    let mut lookup = Lookup::new();
    lookup.listen();
    lookup.listen();
    lookup
}

fn flow(protocol: u8, local: SocketAddr, remote: SocketAddr) -> SocketPair {
    SocketPair { protocol, local, remote }
}

fn ask(
    lookup: &mut Lookup,
    asked: &[(KeyKind, SeenSockets)],
    since_ns: BootNs,
) -> Vec<Option<TalkerOwner>> {
    let question = |(kind, seen): &(KeyKind, SeenSockets)| {
        (OwnerQuestion::of(*kind as u8, *seen).unwrap(), since_ns)
    };
    let asked = lookup.ask(asked.iter().map(question).collect());
    thread::sleep(SETTLED);
    lookup.answer(&asked)
}

fn one(
    lookup: &mut Lookup,
    kind: KeyKind,
    seen: SeenSockets,
    since_ns: BootNs,
) -> Option<TalkerOwner> {
    ask(lookup, &[(kind, seen)], since_ns).remove(0)
}

fn own_name() -> String {
    fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned()
}

/// A connection of this process to its own listener: the connecting and the accepted end.
fn connected(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

use KeyKind::{LocalService, RemoteService};

#[test]
fn ten_flows_in_ten_cgroups_are_named_rightly() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let pod = format!(
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope",
        UID.replace('-', "_")
    );
    let docker = format!("system.slice/docker-{ID}.scope");
    let libpod = format!("machine.slice/libpod-{ID}.scope/container");
    let batch = format!("/{}/batch/job-17", cgroups.root.file_name().unwrap().display());
    let unit = OwnerKind::Unit;
    // Path of the cgroup, what it is, its name, protocol, and the address of the service.
    let cases: [(&str, OwnerKind, &str, u8, &str); 10] = [
        ("system.slice/a.service", unit, "a.service", TCP, "127.0.0.1"),
        ("system.slice/b.service", unit, "b.service", TCP, "::1"),
        ("system.slice/c.service", unit, "c.service", UDP, "127.0.0.1"),
        ("system.slice/d.service/sub", unit, "d.service", UDP, "::1"),
        ("system.slice/run-e.scope", unit, "run-e.scope", TCP, "127.0.0.2"),
        (
            "user.slice/user-7.slice/user@7.service/app.slice/f.service",
            unit,
            "user@7.service/f.service",
            TCP,
            "127.0.0.1",
        ),
        (&docker, OwnerKind::Container, ID, TCP, "127.0.0.1"),
        (&libpod, OwnerKind::Container, ID, UDP, "127.0.0.1"),
        (&pod, OwnerKind::Pod, UID, TCP, "::1"),
        ("batch/job-17", OwnerKind::Cgroup, &batch, UDP, "127.0.0.3"),
    ];
    let mut lookup = lookup();
    let mut since_ns = boot_ns();
    let (mut asked, mut kept) = (Vec::new(), Vec::<OwnedFd>::new());
    for (path, _, _, protocol, address) in &cases {
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        cgroups.leave();
        let (local, remote) = if *protocol == TCP {
            let listener = TcpListener::bind(address).unwrap();
            cgroups.enter(path);
            let (client, accepted) = connected(&listener);
            let ends = ends(&client);
            kept.extend([listener.into(), client.into(), accepted.into()]);
            ends
        } else {
            let server = UdpSocket::bind(address).unwrap();
            cgroups.enter(path);
            // Not connected: the kernel knows no other end of it.
            let client = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
            client.send_to(b"x", server.local_addr().unwrap()).unwrap();
            let ends = (client.local_addr().unwrap(), server.local_addr().unwrap());
            kept.extend([server.into(), client.into()]);
            ends
        };
        asked.push((RemoteService, SeenSockets::One(flow(*protocol, local, remote))));
    }
    // A busy machine may not find an owner in time, but never finds a wrong one.
    wait_until("an owner of each flow", || {
        let found = ask(&mut lookup, &asked, since_ns);
        since_ns = boot_ns();
        let mut named = 0;
        for ((path, kind, name, ..), found) in cases.iter().zip(found) {
            let Some(owner) = found else { continue };
            assert_eq!((owner.kind, owner.name.as_str()), (*kind as u8, *name), "{path}");
            // The cgroup has other processes by now, or none: this one has left it.
            assert!(owner.process.is_empty() || owner.process == own_name(), "{owner:?}");
            named += 1;
        }
        named == cases.len()
    });
}

#[test]
fn a_service_of_this_host_is_named_by_the_socket_that_listens_or_receives() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let mut lookup = lookup();
    cgroups.enter("system.slice/web.service");
    // Both IPv4 and IPv6.
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let datagrams = |address: SocketAddr| {
        let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None).unwrap();
        setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
        UdpSocket::from(fd)
    };
    let dns = datagrams("0.0.0.0:0".parse().unwrap());
    let since_ns = boot_ns();
    cgroups.enter("system.slice/client.service");
    let clients: Vec<TcpStream> =
        ["127.0.0.1", "127.0.0.2", "::1"].map(|ip| TcpStream::connect((ip, port)).unwrap()).into();
    let kept: Vec<TcpStream> = clients.iter().map(|_| listener.accept().unwrap().0).collect();
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let mut asked = Vec::new();
    for accepted in &kept {
        let (local, remote) = ends(accepted);
        let (local, remote) = (plain(local), plain(remote));
        for seen in [SeenSockets::One, SeenSockets::Several] {
            asked.push((LocalService, seen(flow(TCP, local, remote))));
        }
        asked.push((RemoteService, SeenSockets::One(flow(TCP, remote, local))));
    }
    let names = |lookup: &mut Lookup, asked: &[(KeyKind, SeenSockets)]| -> Vec<Option<String>> {
        ask(lookup, asked, since_ns).into_iter().map(|it| it.map(|it| it.name)).collect()
    };
    let (web, client) = (Some("web.service".to_owned()), Some("client.service".to_owned()));
    let three = [web.clone(), web.clone(), client];
    assert_eq!(names(&mut lookup, &asked), [three.clone(), three.clone(), three].concat());
    // A connection that came and went between two looks was accepted by the same socket.
    let (local, remote) = {
        let (client, accepted) = connected(&listener);
        drop(client);
        let (local, remote) = ends(&accepted);
        (plain(local), plain(remote))
    };
    wait_until("the end of it", || {
        sh(&format!("ss -tnH state established dport = :{}", remote.port())).is_empty()
    });
    let there = SocketAddr::new("127.0.0.1".parse().unwrap(), dns.local_addr().unwrap().port());
    let here: SocketAddr = "127.0.0.1:4000".parse().unwrap();
    let datagram = flow(UDP, there, here);
    let asked = [
        (LocalService, SeenSockets::One(flow(TCP, local, remote))),
        (LocalService, SeenSockets::One(datagram)),
        (LocalService, SeenSockets::Several(datagram)),
    ];
    assert_eq!(names(&mut lookup, &asked), [web.clone(), web.clone(), web]);
    // Another program shares the port.
    cgroups.enter("system.slice/other.service");
    let _other = datagrams(there);
    assert_eq!(names(&mut lookup, &asked[2..]), [None], "either may have had it");
}

#[test]
fn a_connection_that_closed_is_named_if_it_was_seen_before() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let mut lookup = lookup();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    cgroups.enter("system.slice/closed.service");
    for is_aborted in [false, true] {
        let since_ns = boot_ns();
        let (client, accepted) = connected(&listener);
        let (local, remote) = ends(&client);
        let seen = SeenSockets::One(flow(TCP, local, remote));
        lookup.look(&[OwnerQuestion::of(RemoteService as u8, seen).unwrap()]);
        if is_aborted {
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&client, sockopt::Linger, &at_once).unwrap();
        }
        drop(client);
        drop(accepted);
        wait_until("the news of it", || {
            let owner = one(&mut lookup, RemoteService, seen, since_ns);
            owner.is_some_and(|owner| owner.name == "closed.service")
        });
        assert_eq!(one(&mut lookup, RemoteService, seen, boot_ns()), None, "not since then");
    }
}

#[test]
fn a_process_that_has_the_socket_is_named() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let mut lookup = lookup();
    cgroups.enter("system.slice/named.service");
    let since_ns = boot_ns();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, _accepted) = connected(&listener);
    let (local, remote) = ends(&client);
    let owner =
        one(&mut lookup, RemoteService, SeenSockets::One(flow(TCP, local, remote)), since_ns)
            .unwrap();
    assert_eq!((owner.name.as_str(), owner.process), ("named.service", own_name()));
}

#[test]
fn what_is_forwarded_or_of_another_namespace_is_nobodys() {
    if !in_namespace() {
        return;
    }
    let mut lookup = lookup();
    let since_ns = boot_ns();
    // A connection in another network namespace, between the same addresses as here.
    let space = Namespace::new();
    let mut other = space.command("bash");
    let script = "exec 4<>/dev/udp/127.0.0.1/9; ss -unHp dport = :9; read -r";
    other
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut other = other.spawn().unwrap();
    let mut said = [0; 512];
    let len = other.stdout.as_mut().unwrap().read(&mut said).unwrap();
    let line = String::from_utf8_lossy(&said[..len]).into_owned();
    let there: Vec<SocketAddr> =
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [local, remote] = there[..] else { panic!("no two ends in {line:?}") };
    let asked = |protocol| (RemoteService, SeenSockets::One(flow(protocol, local, remote)));
    assert_eq!(ask(&mut lookup, &[asked(UDP), asked(TCP)], since_ns), [None, None]);
    other.stdin.take().unwrap().write_all(b"\n").unwrap();
    other.wait().unwrap();
    let routed = flow(TCP, "192.0.2.1:4000".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
    assert_eq!(one(&mut lookup, RemoteService, SeenSockets::One(routed), since_ns), None);
    assert_eq!(OwnerQuestion::of(RemoteService as u8, SeenSockets::Nothing), None);
}

/// Sockets that are made before they are needed, by the name of their cgroup and their protocol.
type Stock = BTreeMap<(String, u8), Vec<OwnedFd>>;

/// A socket of the stock, which is filled up if it is out of them.
fn taken(stock: &mut Stock, cgroups: &Cgroups, name: &str, protocol: u8) -> OwnedFd {
    let stock = stock.entry((name.to_owned(), protocol)).or_default();
    if stock.is_empty() {
        cgroups.enter(&format!("system.slice/{name}"));
        let kind = if protocol == TCP { SockType::Stream } else { SockType::Datagram };
        let socket = || socket(AddressFamily::Inet, kind, SockFlag::empty(), None).unwrap();
        stock.extend((0..30).map(|_| socket()));
    }
    stock.pop().unwrap()
}

/// Exchanges bytes from a port, without a connection if it is a datagram socket. `None` if the port is
/// in use.
fn exchange(
    fd: OwnedFd,
    protocol: u8,
    port: u16,
    service: SocketAddr,
) -> Option<(SocketAddr, OwnedFd)> {
    let local = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port);
    if protocol == UDP {
        bind(fd.as_raw_fd(), &SockaddrStorage::from(local)).ok()?;
        let socket = UdpSocket::from(fd);
        socket.send_to(b"hello", service).unwrap();
        return Some((local, socket.into()));
    }
    setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
    // It closes at once, so that the port can be used again.
    setsockopt(&fd, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(local)).ok()?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(service)).ok()?;
    let mut stream = TcpStream::from(fd);
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    Some((local, stream.into()))
}

#[derive(Debug, Default)]
struct Verdicts {
    right: usize,
    unknown: usize,
}

impl Verdicts {
    fn add(&mut self, answers: Vec<Option<TalkerOwner>>, had: &[BTreeSet<String>]) {
        for (answer, had) in answers.into_iter().zip(had) {
            match answer {
                None => self.unknown += 1,
                Some(owner) => {
                    assert_eq!(*had, [owner.name].into());
                    self.right += 1;
                }
            }
        }
    }
}

/// Thousands of flows of three programs that use the same few ports again and again. The test
/// knows who had which in each interval: an answer is right or there is none.
#[test]
fn short_flows_are_unattributed_or_right_and_never_wrong() {
    const ROUNDS: usize = 200;
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let names = ["a.service", "b.service", "c.service"];
    let mut stock = Stock::new();
    cgroups.enter("system.slice/server.service");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Answers, so that both ends had traffic, and waits for the client to close.
            let mut stream = stream.unwrap();
            let _gone = stream.write_all(b"x").and_then(|()| stream.read(&mut [0; 8]));
        }
    });
    let mut lookup = lookup();
    let mut made = 0;
    let mut rounds = VecDeque::new();
    let mut verdicts = Verdicts::default();
    // Ports are used again at once within a round, and by another round a second later.
    for round in 0..ROUNDS {
        let since_ns = boot_ns();
        let mut truth: BTreeMap<(u8, SocketAddr), BTreeSet<String>> = BTreeMap::new();
        let mut open = Vec::new();
        for turn in 0..16 {
            let name = names[(round * 7 + turn * turn) % names.len()].to_owned();
            let protocol = if turn % 8 < 5 { TCP } else { UDP };
            let fd = taken(&mut stock, &cgroups, &name, protocol);
            let port = 4000 + u16::try_from(round % 100 * 8 + turn * 3 % 8).unwrap();
            let Some((local, socket)) = exchange(fd, protocol, port, service) else { continue };
            truth.entry((protocol, local)).or_default().insert(name);
            made += 1;
            // Some are seen while they are open, some are left open until the question.
            if turn % 4 == 0 {
                let seen = SeenSockets::One(flow(protocol, local, service));
                lookup.look(&[OwnerQuestion::of(RemoteService as u8, seen).unwrap()]);
            }
            if turn % 3 == 0 {
                open.push(socket);
            }
        }
        let question = |seen| (OwnerQuestion::of(RemoteService as u8, seen).unwrap(), since_ns);
        let one = |(protocol, local)| question(SeenSockets::One(flow(protocol, local, service)));
        let mut asked: Vec<_> = truth.keys().copied().map(one).collect();
        let of_tcp = truth.iter().filter(|((protocol, _), _)| *protocol == TCP);
        let of_tcp: BTreeSet<String> = of_tcp.flat_map(|(_, had)| had.clone()).collect();
        let example = flow(TCP, truth.keys().next().unwrap().1, service);
        asked.push(question(SeenSockets::Several(example)));
        let mut had: Vec<BTreeSet<String>> = truth.values().cloned().collect();
        had.push(of_tcp);
        rounds.push_back((Instant::now() + SETTLED, lookup.ask(asked), had));
        while rounds.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            let (_, asked, had) = rounds.pop_front().unwrap();
            verdicts.add(lookup.answer(&asked), &had);
        }
    }
    while let Some(wait) = lookup.mark() {
        thread::sleep(wait);
    }
    thread::sleep(SETTLED);
    for (_, asked, had) in rounds {
        verdicts.add(lookup.answer(&asked), &had);
    }
    let Verdicts { right, unknown } = verdicts;
    println!("{made} flows: {right} named rightly, {unknown} unattributed");
    // How many can be told depends on the machine: the faster it makes them, the fewer.
    assert!(made > 2000 && right > 10, "{made} made, {right} right, {unknown} unknown");
}
