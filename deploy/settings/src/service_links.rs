//! Recognises variables that Kubernetes and Docker set for services of a cluster. A service called
//! `netmon-collector` adds `NETMON_COLLECTOR_PORT=udp://10.0.0.7:8082` and similar ones to every pod
//! beside it. They are no config of this program.

/// True if a variable belongs to a service. `name` is without this program's prefix.
pub(crate) fn is_service_link(name: &str, value: &str) -> bool {
    // The levels of a key are separated by two underscores, which no service's name produces.
    if name.contains("__") {
        return false;
    }
    let words: Vec<&str> = name.split('_').collect();
    (0..words.len()).any(|at| match words[at..] {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT"] => ["tcp://", "udp://", "sctp://"].iter().any(|it| value.starts_with(it)),
        ["PORT", port, "TCP" | "UDP" | "SCTP", ref rest @ ..] => {
            port.parse::<u16>().is_ok() && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    })
}

/// The notice about ignored variables.
pub(crate) fn warning(names: &[String]) -> Option<String> {
    let (first, others) = names.split_first()?;
    let more =
        if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    Some(format!(
        "{first}{more}: ignored, since Kubernetes sets such variables for a service of that name; \
         `enableServiceLinks: false` in the pod's spec keeps such variables out"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_services_is_told_from_config() {
        for (name, value) in [
            ("SERVICE_HOST", "10.96.0.12"),
            ("SERVICE_PORT", "8082"),
            ("SERVICE_PORT_QUIC", "8082"),
            ("PORT", "udp://10.96.0.12:8082"),
            ("PORT_8082_UDP", "udp://10.96.0.12:8082"),
            ("PORT_8082_UDP_PROTO", "udp"),
            ("PORT_8082_UDP_PORT", "8082"),
            ("PORT_8082_UDP_ADDR", "10.96.0.12"),
            // For a service called netmon-collector-http.
            ("HTTP_SERVICE_HOST", "10.96.0.13"),
            ("HTTP_PORT", "tcp://10.96.0.13:8083"),
            ("HTTP_PORT_8083_TCP_ADDR", "10.96.0.13"),
        ] {
            assert!(is_service_link(name, value), "{name}");
        }
        for (name, value) in [
            ("SERVER__PORT", "8082"),
            ("SERVER__PORT", "udp://10.96.0.12:8082"),
            ("HTTP__HOST", "127.0.0.1"),
            ("PORT", "8082"),
            ("DATA_DIR", "/var/lib/x"),
            ("RETENTION__RAW", "7d"),
        ] {
            assert!(!is_service_link(name, value), "{name}");
        }
    }

    #[test]
    fn the_warning_names_one_and_counts_the_others() {
        assert_eq!(warning(&[]), None);
        let names = ["NETMON_COLLECTOR_PORT", "NETMON_COLLECTOR_SERVICE_HOST"].map(str::to_owned);
        let text = warning(&names).unwrap();
        assert!(text.starts_with("NETMON_COLLECTOR_PORT and 1 more: "), "{text}");
    }
}
