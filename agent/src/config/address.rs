//! Written form of a collector's address: `host`, `host:port`, `[2001:db8::1]:8082`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Host name or address, with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Host name or address, without brackets.
    pub host: String,
    /// UDP port.
    pub port: Option<u16>,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Invalid host.
    #[error("{0:?} is no host; write a name or an address such as collector.example.org")]
    Host(String),
    /// Invalid port.
    #[error("{0:?} is no port; write a number from 1 to 65535")]
    Port(String),
}

impl FromStr for HostPort {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return Err(InvalidAddress::Host(text.to_owned())),
            },
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        check_host(host)?;
        let number = |port: &str| match port.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(InvalidAddress::Port(port.to_owned())),
        };
        Ok(Self { host: host.to_owned(), port: port.map(number).transpose()? })
    }
}

/// Refuses text that is neither a host name nor an address.
pub fn check_host(host: &str) -> Result<(), InvalidAddress> {
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let sound = !host.is_empty() && host.bytes().all(name) || host.parse::<Ipv6Addr>().is_ok();
    if sound { Ok(()) } else { Err(InvalidAddress::Host(host.to_owned())) }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_come_with_a_port_or_without() {
        for (text, host, port) in [
            ("backup.example.org", "backup.example.org", None),
            ("backup:9000", "backup", Some(9000)),
            ("10.0.0.7:1", "10.0.0.7", Some(1)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]:8082", "2001:db8::1", Some(8082)),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", ":1", "a:", "a:0", "a:99999", "a:b", "a b", "https://a", "[::1", "[::1]99"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
