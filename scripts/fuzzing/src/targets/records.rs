//! The collector's records of clients and of signed-out sessions. A full disk, a person or a restored
//! backup may have truncated or changed the files. The first byte selects the kind.

use std::fs;
use std::time::Duration;

use collector::identity::ClientRecords;
use collector::web::SignedOut;
use rustls_pki_types::UnixTime;
use wire::id::ClientId;

use super::support::{KIB, MIB, directory, file};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "records",
    about: "the collector's files of clients and sessions (collector::identity, collector::web)",
    input_max: 16 * KIB,
    memory_max: 4 * MIB,
    run,
};

const CLIENT: &str = "web-1";

/// Directories of client records.
const FOLDERS: [&str; 2] = ["issued", "revoked"];

fn run(input: &[u8]) {
    let Some((&which, record)) = input.split_first() else { return };
    match FOLDERS.get(usize::from(which) % 4) {
        Some(folder) => of_client(folder, record),
        None => {
            let path = file(directory().join("signed_out.json"), record);
            assert!(!format!("{:?}", SignedOut::open(path)).is_empty());
        }
    }
}

fn of_client(folder: &str, record: &[u8]) {
    let place = directory().join("identity");
    for folder in FOLDERS {
        let folder = place.join(folder);
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
    }
    file(place.join(folder).join(CLIENT), record);
    let records = ClientRecords::at(&place);
    let client = ClientId::new(CLIENT).unwrap();

    let known = records.list().unwrap();
    assert_eq!(known.len(), 1, "a client with an unreadable record is still listed");
    assert_eq!(known[0].client, CLIENT);
    let damaged = &known[0].damaged;
    assert!(damaged.iter().all(|why| why.contains(CLIENT)), "it names the file: {damaged:?}");
    let _known = records.knows(&client).unwrap();
    // Revoking works with damaged records.
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let revoked = records.revoke(&client, now).unwrap();
    assert!(revoked.generation >= now.as_secs());
    let known = records.list().unwrap();
    assert_eq!(known[0].revoked_at, Some(now.as_secs()));
    assert!(known[0].certificates.is_empty(), "no earlier certificate is valid");
}
