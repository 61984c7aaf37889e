//! PEM: the files of an operator's PKI, and certificates in a collector's answer.

use std::path::Path;

use settings::InFull;
use wire::certificate::Facts;
use wire::pem::{certificates, key};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "pem",
    about: "certificates and keys from an operator's files or a collector's answer (wire::pem)",
    input_max: 64 * KIB,
    memory_max: 2 * MIB,
    run,
};

fn run(input: &[u8]) {
    let path = Path::new("/etc/pki/x.pem");
    match certificates(input, path) {
        Ok(found) => {
            assert!(!found.is_empty());
            assert!(found.iter().all(|der| Facts::read(der).is_ok()));
        }
        Err(error) => {
            let shown = error.in_full().to_string();
            assert!(shown.len() <= 4 * KIB, "an error of {} bytes", shown.len());
        }
    }
    if let Ok(key) = key(input, path) {
        assert!(key.secret_der().len() <= input.len());
    }
}
