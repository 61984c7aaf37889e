//! What follows from what was seen of sockets.

use wire::talkers::{KeyKind, OwnerKind};

use crate::talkers::{SeenSockets, SocketPair};

use super::super::diag::TCP;
use super::super::diag::tests::socket;
use super::super::naming;
use super::*;

const SERVICE: &str = "10.0.0.2:443";

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn asked(protocol: u8, kind: KeyKind, several: bool) -> OwnerQuestion {
    let flow = match kind {
        KeyKind::LocalService => {
            SocketPair { protocol, local: end("10.0.0.1:443"), remote: end("10.0.0.2:4000") }
        }
        _ => SocketPair { protocol, local: end("10.0.0.1:4000"), remote: end(SERVICE) },
    };
    let seen = if several { SeenSockets::Several(flow) } else { SeenSockets::One(flow) };
    OwnerQuestion::of(kind as u8, seen).unwrap()
}

fn owner(name: &str) -> Option<TalkerOwner> {
    Some(TalkerOwner { kind: OwnerKind::Unit as u8, name: name.to_owned(), process: String::new() })
}

/// A book that hears of every closed socket, and saw these at these times.
fn book(seen: &[(u64, Socket, &str)]) -> Book {
    let mut book = Book::default();
    for (at_ns, socket, name) in seen {
        book.saw(socket, BootNs(*at_ns), || owner(name));
    }
    book
}

fn there(sockets: &[Socket]) -> Present {
    Present { sockets: sockets.to_vec(), listeners: Vec::new() }
}

fn name(book: &Book, asked: OwnerQuestion, present: &Present, since_ns: u64) -> Option<String> {
    book.owner(&asked, present, BootNs(since_ns), true).map(|owner| owner.name)
}

const SINCE: u64 = 100;

#[test]
fn the_socket_of_a_connection_has_it() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let socket = socket(1, "10.0.0.1:4000", SERVICE);
    let book = book(&[(150, socket, "curl")]);
    assert_eq!(name(&book, one, &there(&[socket]), SINCE).as_deref(), Some("curl"));
    assert_eq!(name(&book, one, &there(&[]), SINCE), None, "it is gone, nobody knows when");
}

#[test]
fn a_port_that_was_used_again_has_no_owner() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let [first, second] = [1, 2].map(|cookie| socket(cookie, "10.0.0.1:4000", SERVICE));
    let mut book = book(&[(90, first, "curl"), (150, second, "wget")]);
    book.closed([first], BootNs(120));
    assert_eq!(name(&book, one, &there(&[second]), SINCE), None);
    assert_eq!(name(&book, one, &there(&[second]), 130).as_deref(), Some("wget"));
    // Both were the same program's.
    book.saw(&first, BootNs(90), || None);
    let mut same = self::book(&[(90, first, "curl"), (150, second, "curl")]);
    same.closed([first], BootNs(120));
    assert_eq!(name(&same, one, &there(&[second]), SINCE).as_deref(), Some("curl"));
    let third = socket(3, "10.0.0.1:4000", SERVICE);
    same.closed([third], BootNs(121));
    assert_eq!(name(&same, one, &there(&[second]), SINCE), None, "nobody saw the third");
}

#[test]
fn a_connection_that_closed_after_it_was_seen_is_still_known() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let socket = socket(1, "10.0.0.1:4000", SERVICE);
    let mut book = book(&[(110, socket, "curl")]);
    book.closed([socket], BootNs(120));
    assert_eq!(name(&book, one, &there(&[]), SINCE).as_deref(), Some("curl"));
    assert_eq!(name(&book, one, &there(&[]), 121), None, "it closed before");
}

#[test]
fn of_an_aborted_connection_the_kernel_tells_a_part_of_its_ends() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    for (local, remote, may_have_had) in [
        ("10.0.0.1:4000", "10.0.0.2:0", true),
        ("0.0.0.0:4000", "10.0.0.2:0", true),
        ("10.0.0.1:4000", "0.0.0.0:0", true),
        ("10.0.0.1:4000", "10.0.0.2:80", false),
        ("10.0.0.1:4001", "10.0.0.2:0", false),
        ("10.0.0.3:4000", "10.0.0.2:0", false),
    ] {
        assert_eq!(one.concerns(&socket(1, local, remote)), may_have_had, "{local} {remote}");
    }
    let several = asked(TCP, KeyKind::RemoteService, true);
    assert!(several.concerns(&socket(1, "0.0.0.0:4001", "10.0.0.2:0")));
    assert!(!several.concerns(&socket(1, "0.0.0.0:4001", "0.0.0.0:0")), "never connected");
}

#[test]
fn without_news_of_closed_sockets_only_earlier_ones_are_certain() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let socket = socket(1, "10.0.0.1:4000", SERVICE);
    let mut book = book(&[(150, socket, "curl")]);
    book.missed(BootNs(140));
    assert_eq!(name(&book, one, &there(&[socket]), SINCE), None);
    assert_eq!(name(&book, one, &there(&[socket]), 150).as_deref(), Some("curl"));
    let several = asked(TCP, KeyKind::RemoteService, true);
    let second = self::socket(2, "10.0.0.1:4001", SERVICE);
    book.saw(&second, BootNs(150), || owner("curl"));
    let both = there(&[socket, second]);
    assert_eq!(name(&book, several, &both, 130), None, "others may have come and gone");
    assert_eq!(name(&book, several, &both, 140).as_deref(), Some("curl"));
    assert_eq!(name(&book, several, &there(&[socket]), 140), None, "one is missing");
}

#[test]
fn a_socket_with_new_ends_is_a_new_one() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let before = socket(1, "10.0.0.1:4000", "10.0.0.3:80");
    let now = Socket { remote: end(SERVICE), ..before };
    let mut book = book(&[(90, before, "curl"), (150, now, "curl")]);
    book.missed(BootNs(140));
    assert_eq!(name(&book, one, &there(&[now]), SINCE), None);
}

#[test]
fn several_connections_have_an_owner_if_all_are_one_owners() {
    let several = asked(TCP, KeyKind::RemoteService, true);
    let sockets = [(1, 4000), (2, 4001), (3, 4002)]
        .map(|(cookie, port)| socket(cookie, &format!("10.0.0.1:{port}"), SERVICE));
    let [one, two, other] = sockets;
    let mut book = book(&[(150, one, "backup"), (150, two, "backup"), (150, other, "curl")]);
    assert_eq!(name(&book, several, &there(&[one, two]), SINCE).as_deref(), Some("backup"));
    assert_eq!(name(&book, several, &there(&sockets), SINCE), None);
    book.closed([other], BootNs(160));
    assert_eq!(name(&book, several, &there(&[one, two]), SINCE), None, "curl's closed in it");
    assert_eq!(name(&book, several, &there(&[one, two]), 161).as_deref(), Some("backup"));
}

#[test]
fn unseen_connections_of_a_service_are_those_of_the_socket_that_listens() {
    let several = asked(TCP, KeyKind::LocalService, true);
    let listener = socket(9, "0.0.0.0:443", "0.0.0.0:0");
    let accepted = socket(1, "10.0.0.1:443", "10.0.0.2:4000");
    let present = Present { sockets: vec![accepted], listeners: vec![listener] };
    let mut book = book(&[(90, listener, "nginx"), (150, accepted, "nginx")]);
    let unseen = socket(2, "10.0.0.1:443", "10.0.0.2:4001");
    book.closed([unseen], BootNs(120));
    assert_eq!(name(&book, several, &present, SINCE).as_deref(), Some("nginx"));
    book.missed(BootNs(130));
    assert_eq!(
        name(&book, several, &present, SINCE).as_deref(),
        Some("nginx"),
        "it listened before"
    );
    let second = socket(8, "0.0.0.0:443", "0.0.0.0:0");
    book.saw(&second, BootNs(95), || owner("haproxy"));
    let both = Present { listeners: vec![listener, second], ..present };
    assert_eq!(name(&book, several, &both, SINCE), None, "either may have accepted them");
}

#[test]
fn a_service_that_was_taken_over_has_no_owner_until_the_next_interval() {
    let several = asked(TCP, KeyKind::LocalService, true);
    let [old, new] = [8, 9].map(|cookie| socket(cookie, "0.0.0.0:443", "0.0.0.0:0"));
    let mut book = book(&[(90, old, "nginx"), (150, new, "haproxy")]);
    let present = Present { sockets: vec![], listeners: vec![new] };
    book.closed([old], BootNs(120));
    assert_eq!(name(&book, several, &present, SINCE), None);
    assert_eq!(name(&book, several, &present, 121).as_deref(), Some("haproxy"));
    // A connection that the old one accepted is there still.
    let left = socket(1, "10.0.0.1:443", "10.0.0.2:4000");
    book.saw(&left, BootNs(90), || owner("nginx"));
    let present = Present { sockets: vec![left], ..present };
    assert_eq!(name(&book, several, &present, 121), None);
}

#[test]
fn datagrams_are_those_of_every_socket_of_the_port() {
    let one = asked(UDP, KeyKind::RemoteService, false);
    let open = socket(1, "0.0.0.0:4000", "0.0.0.0:0");
    let connected = socket(2, "10.0.0.1:4000", SERVICE);
    let elsewhere = socket(3, "10.0.0.1:4000", "10.0.0.9:53");
    assert!(one.concerns(&open) && one.concerns(&connected) && !one.concerns(&elsewhere));
    assert!(!one.concerns(&socket(4, "127.0.0.1:4000", "0.0.0.0:0")), "bound elsewhere");
    let mut book = book(&[(150, open, "resolver"), (150, connected, "chrony")]);
    assert_eq!(name(&book, one, &there(&[open]), SINCE).as_deref(), Some("resolver"));
    assert_eq!(name(&book, one, &there(&[open, connected]), SINCE), None);
    book.closed([Socket { protocol: Some(UDP), ..connected }], BootNs(160));
    assert_eq!(name(&book, one, &there(&[open]), SINCE), None);
    let flow = SocketPair { protocol: UDP, local: end("10.0.0.1:4000"), remote: end(SERVICE) };
    let remote = KeyKind::RemoteService as u8;
    assert_eq!(
        OwnerQuestion::of(remote, SeenSockets::Several(flow)),
        None,
        "unconnected ones can't be listed"
    );
    assert_eq!(OwnerQuestion::of(KeyKind::Icmp as u8, SeenSockets::One(flow)), None);
    assert_eq!(OwnerQuestion::of(remote, SeenSockets::Nothing), None);
}

#[test]
fn processes_of_one_unit_are_one_owner() {
    let of =
        |process: &str| owner("web").map(|it| TalkerOwner { process: process.to_owned(), ..it });
    let same = common([of("nginx"), of("nginx")].into_iter());
    assert_eq!(same, of("nginx"));
    assert_eq!(common([of("nginx"), of("php")].into_iter()), of(""));
    assert_eq!(common([of("nginx"), None].into_iter()), None);
    let process = |name: &str| Some(naming::only(name.to_owned()));
    assert_eq!(common([process("a"), process("a")].into_iter()), process("a"));
    assert_eq!(common([process("a"), process("b")].into_iter()), None, "nothing is known");
    assert_eq!(common([].into_iter()), None);
}

#[test]
fn without_the_kernels_word_that_all_was_told_nothing_that_closed_is_certain() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let socket = socket(1, "10.0.0.1:4000", SERVICE);
    let book = book(&[(150, socket, "curl")]);
    let said = |since_ns, is_told| book.owner(&one, &there(&[socket]), BootNs(since_ns), is_told);
    assert_eq!(said(SINCE, true), owner("curl"));
    assert_eq!(said(SINCE, false), None, "another may have closed within");
    assert_eq!(said(150, false), owner("curl"), "it was there before");
}

#[test]
fn an_owner_without_a_process_is_asked_for_again_a_few_times() {
    let socket = socket(1, "10.0.0.1:4000", SERVICE);
    let mut book = Book::default();
    let mut asked = 0;
    for _ in 0..9 {
        book.saw(&socket, BootNs(1), || {
            asked += 1;
            if asked == 1 { None } else { owner("web") }
        });
    }
    assert_eq!(asked, usize::from(TRIES));
    assert_eq!(book.owner_of(&socket), owner("web"));
}

/// A connection to the service here.
fn connection(cookie: u64, remote: &str) -> Socket {
    socket(cookie, "10.0.0.1:443", remote)
}

/// The question about it.
fn about(socket: &Socket) -> OwnerQuestion {
    let Socket { local, remote, .. } = *socket;
    let seen = SeenSockets::One(SocketPair { protocol: TCP, local, remote });
    OwnerQuestion::of(KeyKind::LocalService as u8, seen).unwrap()
}

#[test]
fn a_peer_with_very_many_connections_hides_the_owner_of_no_other() {
    let honest = connection(1, "192.0.2.7:5000");
    let late = connection(2, "192.0.2.8:5000");
    let mut book = book(&[(50, honest, "nginx")]);
    for n in 0..3 * SOCKETS_MAX as u64 {
        let port = n % 60_000 + 1000;
        book.saw(&connection(n + 10, &format!("198.51.100.1:{port}")), BootNs(60 + n), || None);
    }
    book.saw(&late, BootNs(90), || owner("nginx"));
    assert!(book.known.len() <= SOCKETS_MAX, "memory is bounded");
    for socket in [honest, late] {
        let named = name(&book, about(&socket), &there(&[socket]), SINCE);
        assert_eq!(named.as_deref(), Some("nginx"), "{}", socket.remote);
    }
}

#[test]
fn a_peer_that_closes_very_many_connections_makes_only_its_own_uncertain() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let mine = socket(1, "10.0.0.1:4000", SERVICE);
    let mut book = book(&[(150, mine, "curl")]);
    for n in 0..3 * SOCKETS_MAX as u64 {
        book.closed([connection(n + 10, "198.51.100.1:9")], BootNs(200));
    }
    assert!(book.closed.len() <= SOCKETS_MAX, "memory is bounded");
    assert_eq!(name(&book, one, &there(&[mine]), SINCE).as_deref(), Some("curl"));
    // One of the peer's own, of which one may have closed unnoticed.
    let theirs = connection(9, "198.51.100.1:4000");
    book.saw(&theirs, BootNs(210), || owner("nginx"));
    let asked = about(&theirs);
    assert_eq!(name(&book, asked, &there(&[theirs]), SINCE), None);
    assert_eq!(name(&book, asked, &there(&[theirs]), 201).as_deref(), Some("nginx"));
}

#[test]
fn sockets_that_closed_without_a_remote_end_may_have_been_anybodys() {
    let one = asked(TCP, KeyKind::RemoteService, false);
    let mine = socket(1, "10.0.0.1:4000", SERVICE);
    let close = |protocol| {
        let mut book = book(&[(150, mine, "curl")]);
        for n in 0..=SOCKETS_MAX as u64 {
            let closed = socket(n + 10, "0.0.0.0:9", "0.0.0.0:0");
            book.closed([Socket { protocol, ..closed }], BootNs(200));
        }
        name(&book, one, &there(&[mine]), SINCE)
    };
    assert_eq!(close(Some(TCP)), None);
    assert_eq!(close(None), None, "of an unknown protocol");
    assert_eq!(close(Some(UDP)).as_deref(), Some("curl"), "no datagrams are asked for");
}

#[test]
fn what_no_record_needs_is_forgotten() {
    let mut book = Book::default();
    for n in 0..=SOCKETS_MAX as u64 {
        book.closed([connection(n, "198.51.100.1:9")], BootNs(200));
        book.saw(&connection(n, "198.51.100.1:9"), BootNs(200), || None);
    }
    book.forget(BootNs(200 + KEPT_NS + 2));
    assert!(book.known.is_empty() && book.closed.is_empty() && book.forgotten.is_empty());
}
