//! Tokens as people paste them, and the content of a token with a correct checksum.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use settings::InFull;
use sha2::{Digest, Sha256};
use wire::token::{ADDRESSES_MAX, Token};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "token",
    about: "a pasted token, or its content with a correct checksum (wire::token)",
    input_max: 16 * KIB,
    memory_max: MIB,
    run,
};

fn run(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        read(text);
    }
    let checksum = Sha256::digest(input);
    let content = [input, &checksum[..4]].concat();
    read(&format!("nmt1_{}", URL_SAFE_NO_PAD.encode(content)));
}

fn read(text: &str) {
    match text.parse::<Token>() {
        Ok(token) => {
            assert!(token.addresses().len() <= ADDRESSES_MAX);
            let sound = |host: &str| (1..=255).contains(&host.len()) && host.is_ascii();
            assert!(token.addresses().iter().all(|address| sound(&address.host)));
            let pasted: String = text.split_whitespace().collect();
            assert_eq!(token.to_string(), pasted, "it prints as it was read");
            assert!(!format!("{token:?}").contains(&pasted[5..40]), "a secret is not shown");
        }
        Err(error) => {
            // The error is shown to whoever pasted the token.
            let shown = error.in_full().to_string();
            assert!(shown.len() <= 2 * KIB, "an error of {} bytes", shown.len());
        }
    }
}
