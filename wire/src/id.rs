//! Names on the wire: of clients and NICs.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// Longest client id, bytes.
pub const CLIENT_ID_MAX: usize = 128;

/// The id of a client, as in its certificate: a DNS name in the SAN.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

/// A client id that a certificate can't contain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't be a client id: 1 to {CLIENT_ID_MAX} letters, digits, '-', '_' and '.', each \
     part between dots 1 to 63 long, not starting or ending with '-'"
)]
pub struct InvalidClientId(String);

impl ClientId {
    /// Checks an id. Converts letters to lower case, because DNS names ignore case.
    ///
    /// # Errors
    /// [`InvalidClientId`] names the id and the rule.
    pub fn new(id: &str) -> Result<Self, InvalidClientId> {
        let sound = |part: &str| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if id.len() <= CLIENT_ID_MAX && id.split('.').all(sound) {
            Ok(Self(id.to_ascii_lowercase()))
        } else {
            Err(InvalidClientId(id.to_owned()))
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a NIC: at most 15 bytes (`IFNAMSIZ` less the final NUL), padded with NUL.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Archive, Serialize, Deserialize,
)]
pub struct NicName([u8; 16]);

impl NicName {
    /// Checks a name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut padded = [0; 16];
        padded.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let nic = Self(padded);
        nic.as_str().is_some_and(|read| read == name).then_some(nic)
    }

    /// The name of a NIC from the kernel, which need not be UTF-8. Other bytes are escaped (`\xff`). If
    /// that is too long, the name ends with `~` and a checksum of all bytes, so that it is stable and
    /// unique. `None` if no NIC can have the name.
    #[must_use]
    pub fn of_bytes(name: &[u8]) -> Option<Self> {
        const CHECKSUM: usize = "~00000000".len();
        if let Ok(text) = std::str::from_utf8(name) {
            return Self::new(text);
        }
        let escaped = name.escape_ascii().to_string();
        Self::new(&escaped).or_else(|| {
            let kept = escaped.get(..15 - CHECKSUM)?;
            Self::new(&format!("{kept}~{:08x}", crc32fast::hash(name)))
        })
    }

    /// The name as text, if valid: UTF-8, 1 to 15 bytes, then only NUL.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        let len = self.0.iter().position(|&byte| byte == 0)?;
        let (name, padding) = self.0.split_at(len);
        let sound = len > 0 && padding.iter().all(|&byte| byte == 0);
        std::str::from_utf8(name).ok().filter(|_| sound)
    }
}

impl fmt::Display for NicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or("?"))
    }
}

impl fmt::Debug for NicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NicName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nic_name_has_one_to_fifteen_bytes() {
        assert_eq!(NicName::new("eth0").unwrap().as_str(), Some("eth0"));
        assert_eq!(NicName::new("fifteen_bytes_x").unwrap().to_string(), "fifteen_bytes_x");
        assert_eq!(NicName::new("sixteen_bytes_xy"), None);
        assert_eq!(NicName::new(""), None);
        assert_eq!(NicName::new("a\0b"), None);
        assert_eq!(NicName([b'x'; 16]).as_str(), None);
    }

    #[test]
    fn a_nic_name_that_is_no_utf_8_is_written_out_or_told_apart_by_a_checksum() {
        let of = |name: &[u8]| NicName::of_bytes(name).map(|name| name.to_string());
        assert_eq!(of("网卡0".as_bytes()).as_deref(), Some("网卡0"));
        assert_eq!(of(b"eth\xff").as_deref(), Some("eth\\xff"));
        let (one, other) = (of(b"\xff\xfe\xfd\xfc0"), of(b"\xff\xfe\xfd\xfc1"));
        assert!(one.as_ref().is_some_and(|one| one.starts_with("\\xff\\x~")), "{one:?}");
        assert_ne!(one, other);
        // The checksum is CRC-32 (IEEE 802.3), equal to Python's `zlib.crc32`.
        assert_eq!(one.as_deref(), Some("\\xff\\x~49332f9b"));
        assert_eq!(of(&[0xff; 15]).unwrap().len(), 15);
        assert_eq!((of(b""), of(b"a\0b")), (None, None));
    }

    #[test]
    fn client_ids_are_host_names() {
        assert_eq!(ClientId::new("Web-1.example_net").unwrap().as_str(), "web-1.example_net");
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "ä", "*.example", &"x".repeat(64)] {
            assert!(ClientId::new(bad).is_err(), "{bad}");
        }
    }
}
