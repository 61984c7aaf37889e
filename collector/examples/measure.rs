#![allow(missing_docs, clippy::unwrap_used)]
use collector::store::{Batch, Database, SessionBatch, sqlite::SqliteStore};
use std::sync::Arc;
use std::time::Instant;
use wire::frame::*;
use wire::id::*;
use wire::message::*;
pub async fn run(store: Arc<dyn Database>, hosts: u64) {
    let t = Instant::now();
    let sid = |h: u64| 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(h + 1);
    for h in 0..hosts {
        let hello = Hello {
            sessions: vec![Session { session: sid(h), started_ns: 1 }],
            ..Hello::default()
        };
        store
            .open_sessions(&ClientId::new(&format!("host-{h}")).unwrap(), &hello, 1)
            .await
            .unwrap();
    }
    println!("open {:?}", t.elapsed());
    let start = 1_800_000_000_000_000_000u64 + 123_456_789;
    let (mut rows, mut seq) = (0u64, 0u64);
    let t = Instant::now();
    let mut x = 1u64;
    let per = (1000 / (2 * hosts)).max(1);
    while rows < 1_000_000 {
        let mut sessions = vec![];
        for h in 0..hosts {
            let mut frames = vec![];
            for s in seq + 1..=seq + per {
                let samples = ["eth0", "eth1"].map(|n| {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    let b = x % 600_000_000;
                    let p = b / 1400;
                    let c = |b: u64, p: u64| Counts {
                        bytes: b,
                        packets: p,
                        captured: p / 20,
                        peak_1ms_bytes: (x % 2_000_000) as u32,
                        peak_10ms_bytes: (x % 15_000_000) as u32,
                        total_bytes: s * 600_000_000,
                        total_packets: s * 400_000,
                    };
                    Sample {
                        nic: NicName::new(n).unwrap(),
                        start_ns: start + s * 500_000_000,
                        interval_ns: 500_000_000,
                        rx: c(b, p),
                        tx: c(b / 3, p / 2),
                        ..Sample::default()
                    }
                });
                rows += 2;
                frames.push(Frame {
                    session: sid(h),
                    first_seq: s,
                    last_seq: s,
                    gap: 0,
                    samples: samples.to_vec(),
                    mixes: vec![],
                });
            }
            sessions.push(SessionBatch {
                client: ClientId::new(&format!("host-{h}")).unwrap(),
                session: sid(h),
                epoch: 1,
                expected: seq,
                frames,
            });
        }
        seq += per;
        store.commit(&Batch { sessions }).await.unwrap();
    }
    println!("{hosts} hosts, {rows} rows in {:?}", t.elapsed());
}
#[tokio::main]
async fn main() {
    for hosts in [1u64, 100] {
        let dir = std::path::PathBuf::from(format!("/tmp/measure-{hosts}"));
        let _ = std::fs::remove_dir_all(&dir);
        run(Arc::new(SqliteStore::open(&dir.join("n.db")).unwrap()), hosts).await;
    }
}
