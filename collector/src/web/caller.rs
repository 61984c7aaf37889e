//! Callers, as limits count them.

use std::net::IpAddr;

use crate::listen::network;

/// Length up to which names of users are compared, bytes.
const USER_MAX: usize = 128;

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Caller {
    /// The address of a host. For IPv6 its network, because one host has many addresses.
    Address(IpAddr),
    /// A user authenticated by a proxy.
    User(String),
    /// A proxy that doesn't name its users, so it may act for many.
    Proxy,
}

impl Caller {
    /// The caller at an address.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(network(address, 64))
    }

    /// A user, by name.
    pub fn user(name: &[u8]) -> Self {
        let some = &name[..name.len().min(USER_MAX)];
        Self::User(String::from_utf8_lossy(some).into_owned())
    }

    /// The caller's share: `each`, or `all` for a proxy.
    pub const fn share(&self, each: usize, all: usize) -> usize {
        match self {
            Self::Proxy => all,
            Self::Address(_) | Self::User(_) => each,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_and_a_mapped_address_is_that_of_ipv4() {
        let at = |text: &str| Caller::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.8"), at("192.0.2.7"));
    }

    #[test]
    fn only_a_proxy_that_tells_nothing_may_have_all() {
        assert_eq!(Caller::Proxy.share(2, 4), 4);
        assert_eq!(Caller::user(b"alice").share(2, 4), 2);
        assert_eq!(Caller::user(&[b'x'; 500]), Caller::user(&[b'x'; 128]));
    }
}
