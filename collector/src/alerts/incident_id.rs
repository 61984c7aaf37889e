//! Ids of incidents.

use std::fmt;

use crate::time::now_ns;

/// The id of an incident: 16 hexadecimal digits. The collector whose rule fires makes it, so that messages
/// sent before the store knows the incident have the same id as those after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct IncidentId(u64);

impl IncidentId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let mut random = [0; 8];
        if getrandom::fill(&mut random).is_err() {
            // Unique all the same: the clock doesn't stand still.
            random = now_ns().get().to_be_bytes();
        }
        Self(u64::from_be_bytes(random))
    }

    /// The one of a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = IncidentId::random();
        assert_eq!(IncidentId::parse(&id.to_string()), Some(id));
        for text in ["", "a", "+123456789abcdef", "0123456789abcdefg"] {
            assert_eq!(IncidentId::parse(text), None, "{text}");
        }
    }
}
