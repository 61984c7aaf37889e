//! Names on the wire: of clients, NICs and sessions.

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

/// The id of a session, which is one run of an agent: drawn at random, any number is possible.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Archive,
    Serialize,
    Deserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct SessionId(u64);

impl SessionId {
    /// The session with this number.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The session that a signed 64-bit column names.
    #[must_use]
    pub const fn of_column(column: i64) -> Self {
        Self(column.cast_unsigned())
    }

    /// As a signed 64-bit column of a database holds it: the same bits.
    #[must_use]
    pub const fn to_column(self) -> i64 {
        self.0.cast_signed()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
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
    fn a_session_is_written_as_sixteen_hex_digits_and_any_fits_a_column() {
        assert_eq!(SessionId::new(0xfeed).to_string(), "000000000000feed");
        assert_eq!(format!("{:?}", [SessionId::new(1)]), "[0000000000000001]");
        for id in [0, 1, i64::MAX as u64, u64::MAX].map(SessionId::new) {
            assert_eq!(SessionId::of_column(id.to_column()), id);
        }
        assert_eq!(SessionId::new(u64::MAX).to_column(), -1);
    }

    #[test]
    fn client_ids_are_host_names() {
        assert_eq!(ClientId::new("Web-1.example_net").unwrap().as_str(), "web-1.example_net");
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "ä", "*.example", &"x".repeat(64)] {
            assert!(ClientId::new(bad).is_err(), "{bad}");
        }
    }
}
