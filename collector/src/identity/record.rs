//! Small JSON files of the collector, one per token or client.

use std::path::Path;

use rustls::pki_types::UnixTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::advice::Advised;
use wire::private_file;

use super::error::IdentityError;

/// A certificate that the CA has issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// First second of its validity, since 1970 (UTC).
    pub not_before: u64,
    /// Last second of its validity, since 1970 (UTC).
    pub not_after: u64,
}

/// The newest certificates of a client, since it was last revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IssuedRecord {
    pub certificates: Vec<Issued>,
}

/// A client was revoked or replaced by another host. Certificates of the own CA carry a generation; a
/// revocation begins a new generation and refuses earlier ones. Of another CA's certificates it refuses
/// those whose validity had begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When, seconds since 1970 (UTC).
    pub revoked_at: u64,
    /// It was forgotten; a host that enrols under its id becomes a new client.
    #[serde(default)]
    pub forgotten: bool,
    /// It was replaced: another host got its certificate at the same time.
    #[serde(default)]
    pub replaced: bool,
    /// The generation that it begins. 0: written by a release without generations; then only
    /// certificates in the list of those issued since are valid.
    #[serde(default)]
    pub generation: u64,
}

impl Revocation {
    /// The revocation after `known`. Generations only rise, whatever the clocks. They rise at least to
    /// the present second, so that they also exceed those of a lost or unknown record.
    pub(super) fn after(known: Option<&Self>, now: UnixTime) -> Self {
        let known = known.map_or(0, |it| it.generation);
        let generation = now.as_secs().max(known.saturating_add(1));
        Self { revoked_at: now.as_secs(), forgotten: false, replaced: false, generation }
    }
}

/// Reads a record, `None` if there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityError> {
    let bytes = match private_file::read(path) {
        Err(error) if error.is_absent() => return Ok(None),
        read => read?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| IdentityError::Damaged {
        path: path.to_owned(),
        error: Advised::new(error, "put it back from a backup, or remove it"),
    })
}

/// Writes a record, replacing the old one.
pub(super) fn write(path: &Path, record: &impl Serialize) -> Result<(), IdentityError> {
    let bytes = serde_json::to_vec(record).map_err(|error| IdentityError::Damaged {
        path: path.to_owned(),
        error: Advised::new(error, "report this"),
    })?;
    Ok(private_file::write(path, &bytes)?)
}

/// The names of the records in a directory, sorted, without unfinished writes.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, IdentityError> {
    let names = private_file::names(directory)?.into_iter();
    let names = names.filter_map(|it| it.into_string().ok().filter(|it| !it.starts_with('.')));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn generations_only_rise_whatever_the_clock_says() {
        let first = Revocation::after(None, at(1000));
        let again = Revocation::after(Some(&first), at(1000));
        let behind = Revocation::after(Some(&again), at(0));
        let later = Revocation::after(Some(&behind), at(5000));
        let generations = [&first, &again, &behind, &later].map(|it| it.generation);
        assert_eq!(generations, [1000, 1001, 1002, 5000]);
        let last = Revocation { generation: u64::MAX, ..later };
        assert_eq!(Revocation::after(Some(&last), at(1)).generation, u64::MAX);
    }
}
