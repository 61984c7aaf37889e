//! The metrics of each client and NIC: what Prometheus scrapes and OTLP exports.

use crate::live::{ClientView, NicView};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A total that only grows.
    Counter,
    /// A value of this moment.
    Gauge,
}

impl MetricKind {
    /// Its name in Prometheus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficDirection {
    /// Received.
    Rx,
    /// Transmitted.
    Tx,
}

impl TrafficDirection {
    /// Its value of the label `direction`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}

/// The value of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricValue {
    /// A whole number.
    Whole(u64),
    /// Seconds, given as nanoseconds.
    Nanoseconds(i128),
}

impl From<bool> for MetricValue {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

/// A metric that every client or NIC has.
#[derive(Debug, Clone, Copy)]
pub struct ClientMetric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Its unit (UCUM); empty: yes or no.
    pub unit: &'static str,
    /// What it is.
    pub help: &'static str,
    figure: Figure,
}

/// Where the values of a metric come from. `None`: there is none now.
#[derive(Debug, Clone, Copy)]
enum Figure {
    Client(fn(&ClientView) -> Option<MetricValue>),
    Nic(fn(&NicView) -> Option<MetricValue>),
    /// Received and transmitted.
    Directions(fn(&ClientView, &NicView) -> Option<[u64; 2]>),
}

/// A value of a metric with what it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct MetricPoint<'a> {
    /// The NIC; `None`: the client itself.
    pub nic: Option<&'a NicView>,
    /// The direction, if the metric has one for each.
    pub direction: Option<TrafficDirection>,
    /// The value.
    pub value: MetricValue,
}

impl ClientMetric {
    /// True if NICs have it, not clients.
    #[must_use]
    pub const fn is_of_nics(&self) -> bool {
        !matches!(self.figure, Figure::Client(_))
    }

    /// Passes each point of a client and these of its NICs.
    pub fn each_point<'a>(
        &self,
        client: &'a ClientView,
        nics: &'a [NicView],
        mut put: impl FnMut(MetricPoint<'a>),
    ) {
        match self.figure {
            Figure::Client(figure) => {
                if let Some(value) = figure(client) {
                    put(MetricPoint { nic: None, direction: None, value });
                }
            }
            Figure::Nic(figure) => {
                for nic in nics {
                    if let Some(value) = figure(nic) {
                        put(MetricPoint { nic: Some(nic), direction: None, value });
                    }
                }
            }
            Figure::Directions(figure) => {
                for nic in nics {
                    let Some(values) = figure(client, nic) else { continue };
                    for (direction, value) in
                        [TrafficDirection::Rx, TrafficDirection::Tx].into_iter().zip(values)
                    {
                        let (direction, value) = (Some(direction), MetricValue::Whole(value));
                        put(MetricPoint { nic: Some(nic), direction, value });
                    }
                }
            }
        }
    }
}

/// Bytes by NIC and direction.
pub const NIC_BYTES: ClientMetric = ClientMetric {
    name: "netmon_nic_bytes_total",
    kind: MetricKind::Counter,
    unit: "By",
    help: "Bytes on the wire, without FCS, preamble and inter-packet gap.",
    figure: Figure::Directions(|_, nic| Some([nic.total.rx.bytes.get(), nic.total.tx.bytes.get()])),
};

/// Packets by NIC and direction.
pub const NIC_PACKETS: ClientMetric = ClientMetric {
    name: "netmon_nic_packets_total",
    kind: MetricKind::Counter,
    unit: "{packet}",
    help: "Packets on the wire.",
    figure: Figure::Directions(|_, nic| {
        Some([nic.total.rx.packets.get(), nic.total.tx.packets.get()])
    }),
};

/// Every metric of clients and NICs.
pub const CLIENT_METRICS: [ClientMetric; 12] = [
    ClientMetric {
        name: "netmon_client_up",
        kind: MetricKind::Gauge,
        unit: "",
        help: "1 if the client is connected, here or to another collector of the database.",
        figure: Figure::Client(|client| Some(client.up.into())),
    },
    ClientMetric {
        name: "netmon_client_last_seen_timestamp_seconds",
        kind: MetricKind::Gauge,
        unit: "s",
        help: "When the client was last heard of, by the collector's clock.",
        figure: Figure::Client(|client| {
            Some(MetricValue::Nanoseconds(client.last_seen.0.get().into()))
        }),
    },
    ClientMetric {
        name: "netmon_client_clock_offset_seconds",
        kind: MetricKind::Gauge,
        unit: "s",
        help: "How far the client's clock is ahead of the collector's.",
        figure: Figure::Client(|client| {
            let offset = client.clock_offset_ns.filter(|_| !client.elsewhere);
            offset.map(|offset| MetricValue::Nanoseconds(offset.into()))
        }),
    },
    ClientMetric {
        name: "netmon_nic_up",
        kind: MetricKind::Gauge,
        unit: "",
        help: "1 if the NIC is operationally up.",
        figure: Figure::Nic(|nic| Some(nic.up.into())),
    },
    ClientMetric {
        name: "netmon_nic_stacked",
        kind: MetricKind::Gauge,
        unit: "",
        help: "1 if another captured NIC of the client carries the same bytes: leave it out of sums.",
        figure: Figure::Nic(|nic| Some(nic.stacked.into())),
    },
    ClientMetric {
        name: "netmon_nic_speed_bytes_per_second",
        kind: MetricKind::Gauge,
        unit: "By/s",
        help: "Link speed per direction; missing if it is unknown or only nominal.",
        figure: Figure::Nic(|nic| {
            let known = Some(nic.speed_bits_per_second / 8).filter(|&speed| speed > 0);
            known.map(MetricValue::Whole)
        }),
    },
    NIC_BYTES,
    NIC_PACKETS,
    ClientMetric {
        name: "netmon_nic_peak_bytes_per_second",
        kind: MetricKind::Gauge,
        unit: "By/s",
        help: "Most bytes within any 1 ms of the newest sample, as a rate.",
        // The last peak of a client that is down is not current.
        figure: Figure::Directions(|client, nic| {
            let sample = nic.sample.as_ref().filter(|_| client.up)?;
            Some([sample.rx, sample.tx].map(|rate| rate.peak_1ms_bytes_per_second))
        }),
    },
    ClientMetric {
        name: "netmon_nic_ring_drops_total",
        kind: MetricKind::Counter,
        unit: "{packet}",
        help: "Packets dropped because the ring was full, both directions; in no other figure.",
        figure: Figure::Nic(|nic| Some(MetricValue::Whole(nic.drops_total.get()))),
    },
    ClientMetric {
        name: "netmon_nic_late_packets_total",
        kind: MetricKind::Counter,
        unit: "{packet}",
        help: "Packets counted in a later interval than their own, both directions.",
        figure: Figure::Nic(|nic| Some(MetricValue::Whole(nic.late_total.get()))),
    },
    ClientMetric {
        name: "netmon_nic_inexact_packets_total",
        kind: MetricKind::Counter,
        unit: "{packet}",
        help: "Packets counted as captured though they may be several on the wire, both directions.",
        figure: Figure::Nic(|nic| Some(MetricValue::Whole(nic.inexact_total.get()))),
    },
];
