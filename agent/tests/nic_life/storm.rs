//! A storm of NIC events during traffic: nothing crashes or leaks, and the totals are right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::sampler::verdict::Verdict;

use crate::support::{Elsewhere, PACKET_LEN, Watched, config, ready, send, sent_by_ip};
use testbed::{in_namespace, sh, wait_until};
use wire::{Bytes, Packets};

/// Random numbers from a seed (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// The place of a NIC in the storm.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Nowhere,
    Here,
    Elsewhere,
}

/// NICs that come and go, by their net.
struct Storm<'a> {
    elsewhere: &'a Elsewhere,
    random: Random,
    /// Place, and whether it is renamed.
    nics: [(Place, bool); 8],
}

impl Storm<'_> {
    fn name(net: usize, renamed: bool) -> String {
        format!("{}{net}", if renamed { "r" } else { "s" })
    }

    /// Shell commands for one random event.
    fn event(&mut self) -> String {
        let net = self.random.below(self.nics.len());
        let (place, renamed) = self.nics[net];
        let number = u8::try_from(net + 1).unwrap();
        let name = Self::name(net, renamed);
        let pid = self.elsewhere.pid();
        match (place, self.random.below(8)) {
            (Place::Nowhere, _) => {
                self.nics[net] = (Place::Here, false);
                self.elsewhere.veth(&Self::name(net, false), number)
            }
            (Place::Elsewhere, _) => {
                self.nics[net].0 = Place::Here;
                let here = std::process::id();
                format!(
                    "nsenter -t {pid} -n ip link set dev {name} netns {here}; {}",
                    ready(&name, number)
                )
            }
            (Place::Here, 0) => {
                self.nics[net].0 = Place::Nowhere;
                format!("ip link del dev {name};")
            }
            (Place::Here, 1) => {
                format!("ip link del dev {name}; {}", self.elsewhere.veth(&name, number))
            }
            (Place::Here, 2) => {
                self.nics[net].0 = Place::Elsewhere;
                format!("ip link set dev {name} netns {pid};")
            }
            (Place::Here, 3) => {
                self.nics[net].1 = !renamed;
                let new = Self::name(net, !renamed);
                format!(
                    "ip link set dev {name} down; ip link set dev {name} name {new}; {}",
                    ready(&new, number)
                )
            }
            (Place::Here, 4) => {
                format!("ip link set dev {name} mtu {};", 1000 + self.random.below(8000))
            }
            (Place::Here, 5) => format!("ip link set dev {name} address 02:00:00:00:01:0{net};"),
            (Place::Here, _) => {
                format!("ip link set dev {name} down; {}", ready(&name, number))
            }
        }
    }
}

/// Descriptors, threads, and bytes of resident memory.
fn resources() -> (usize, usize, u64) {
    let entries = |path| std::fs::read_dir(path).unwrap().count();
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (entries("/proc/self/fd"), entries("/proc/self/task"), pages * 4096)
}

#[test]
fn five_hundred_events_under_traffic_leave_no_trace_but_right_totals() {
    if !in_namespace() {
        return;
    }
    const EVENTS: usize = 500;
    const SEED: u64 = 20_260_101;
    println!("seed {SEED}");
    let elsewhere = Elsewhere::new();
    sh(&elsewhere.veth("steady", 99));
    let watched = Watched::start(config(Duration::from_millis(50)));
    watched.wait_for("steady");
    let only_steady = || watched.captured().len() == 1;
    wait_until("all at rest", || {
        std::thread::sleep(Duration::from_millis(20));
        only_steady()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                send(99, 100);
                sent += 100;
                std::thread::sleep(Duration::from_millis(1));
            }
            sent
        }
    });
    let nics = [(Place::Nowhere, false); 8];
    let mut storm = Storm { elsewhere: &elsewhere, random: Random(SEED), nics };
    let mut before = None;
    for round in 0..EVENTS / 10 {
        // Ten at a time, in quick succession. Packets sent meanwhile may find no NIC.
        let events: String = (0..10).map(|_| storm.event()).collect();
        sh(&format!("({events}) 2>&1"));
        for (net, (place, renamed)) in storm.nics.iter().enumerate() {
            if *place == Place::Here && net == round % 8 {
                watched.wait_for(&Storm::name(net, *renamed));
                send(u8::try_from(net + 1).unwrap(), 20);
            }
        }
        if round == 9 {
            // One-time allocations are done by now.
            clear(&mut storm);
            wait_until("all but the steady one gone", only_steady);
            before = Some(at_rest());
        }
    }
    clear(&mut storm);
    wait_until("all but the steady one gone", only_steady);
    let (descriptors, threads, memory) = before.unwrap();
    wait_until("descriptors and threads as before", || {
        let (descriptors_now, threads_now, _) = resources();
        (descriptors_now, threads_now) == (descriptors, threads)
    });
    let memory_now = at_rest().2;
    println!("resident: {memory} bytes before, {memory_now} after; {descriptors} descriptors");
    assert!(memory_now < memory + (8 << 20), "{memory} bytes before, {memory_now} after");

    // Afterwards it still counts.
    sh(&elsewhere.veth("s0", 1));
    watched.wait_for("s0");
    let already = watched.so_far("s0").tx.packets;
    send(1, 300);
    watched.wait_for_sent("s0", (already + Packets(300)).get());
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    watched.wait_for_sent("steady", sent);
    assert_eq!(sent_by_ip("steady"), sent);
    let nics = watched.finish();
    let steady = &nics["steady"];
    assert_eq!((steady.tx.bytes, steady.drops), (Bytes(sent * PACKET_LEN), 0));
    let verdicts = nics.values().flat_map(|sums| &sums.ended);
    let odd: Vec<_> = verdicts.filter(|ended| ended.verdict != Verdict::Equal).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

fn clear(storm: &mut Storm<'_>) {
    for (net, (place, renamed)) in storm.nics.iter_mut().enumerate() {
        let delete = format!("ip link del dev {}", Storm::name(net, *renamed));
        match place {
            Place::Here => drop(sh(&delete)),
            Place::Elsewhere => drop(storm.elsewhere.sh(&delete)),
            Place::Nowhere => {}
        }
        (*place, *renamed) = (Place::Nowhere, false);
    }
}

/// Resources once they are stable.
fn at_rest() -> (usize, usize, u64) {
    let mut before = resources();
    wait_until("rest", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = resources();
        let same = (before.0, before.1) == (now.0, now.1);
        before = now;
        same
    });
    before
}
