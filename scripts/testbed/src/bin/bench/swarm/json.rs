//! The same samples as JSON, one QUIC stream per report, as the old tool sent them: bytes on the wire.

use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Endpoint, ServerConfig};
use rustls::RootCertStore;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use wire::WallNs;
use wire::frame::{Counts, Sample};

use super::agents::carried;
use super::traffic::Nic;

/// Reports to send.
const REPORTS: u32 = 50;

/// Bytes per sample over UDP, both directions, including IPv4 and UDP headers.
///
/// # Errors
/// Fails if QUIC or a socket fails.
pub fn bytes_per_sample(nics: u32, intervals: u32) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(nics, intervals.max(1)))
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
async fn measure(nics: u32, intervals: u32) -> anyhow::Result<f64> {
    let key = rcgen::KeyPair::generate()?;
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let der = certificate.der().clone();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::with_single_cert(vec![der.clone()], private.into())?;
    let server = Endpoint::server(config, "127.0.0.1:0".parse()?)?;
    let address = server.local_addr()?;
    let reading = tokio::spawn(async move {
        let connection = server.accept().await?.await.ok()?;
        while let Ok(mut stream) = connection.accept_uni().await {
            let _report = stream.read_to_end(1 << 20).await;
        }
        Some(())
    });
    let mut roots = RootCertStore::empty();
    roots.add(der)?;
    let mut client = Endpoint::client("127.0.0.1:0".parse()?)?;
    client.set_default_client_config(ClientConfig::with_root_certificates(Arc::new(roots))?);
    let connection = client.connect(address, "localhost")?.await?;
    let mut nics: Vec<Nic> = (0..nics).map(|number| Nic::new(number, 1)).collect();
    let before = carried(&connection);
    let mut samples = 0;
    for report in 0..REPORTS {
        let start = 1_700_000_000_000_000_000 + u64::from(report) * 1_000_000_000;
        let mut parts = Vec::new();
        for interval in 0..intervals {
            let start = start + u64::from(interval) * 500_000_000;
            parts.extend(
                nics.iter_mut().map(|nic| as_json(&nic.sample(WallNs(start), 500_000_000))),
            );
        }
        samples += parts.len();
        let body = json!({"client": "host-1", "seq": report, "samples": parts});
        let mut stream = connection.open_uni().await?;
        stream.write_all(body.to_string().as_bytes()).await?;
        stream.finish()?;
        stream.stopped().await?;
        // One report at a time, so that each has its own acknowledgement, as reports seconds apart do.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let after = carried(&connection);
    connection.close(0u32.into(), b"done");
    reading.abort();
    Ok((after.bytes - before.bytes) as f64 / samples as f64)
}

fn as_json(sample: &Sample) -> serde_json::Value {
    let counts = |counts: &Counts| {
        json!({
            "bytes": counts.bytes,
            "packets": counts.packets,
            "captured": counts.captured,
            "peak_1ms_bytes": counts.peak_1ms_bytes,
            "peak_10ms_bytes": counts.peak_10ms_bytes,
            "total_bytes": counts.total_bytes,
            "total_packets": counts.total_packets,
        })
    };
    let kernel = &sample.kernel;
    json!({
        "nic": sample.nic.to_string(),
        "start_ns": sample.start_ns,
        "interval_ns": sample.interval_ns,
        "rx": counts(&sample.rx),
        "tx": counts(&sample.tx),
        "drops": sample.drops,
        "freezes": sample.freezes,
        "late": sample.late,
        "inexact": sample.inexact,
        "flags": sample.flags,
        "kernel": {
            "rx_packets": kernel.rx_packets,
            "tx_packets": kernel.tx_packets,
            "rx_bytes": kernel.rx_bytes,
            "tx_bytes": kernel.tx_bytes,
            "dropped": kernel.dropped,
            "errors": kernel.errors,
        },
    })
}
