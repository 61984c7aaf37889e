//! The collector's token files. A full disk, a person or a restored backup may have truncated or
//! changed them.

use std::sync::OnceLock;
use std::time::Duration;

use collector::identity::{Identity, NewToken, OpenTokens};
use rustls_pki_types::UnixTime;
use wire::token::TokenSecret;

use super::support::{KIB, MIB, directory, file};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "token_records",
    about: "the collector's files of tokens (collector::identity)",
    input_max: 16 * KIB,
    memory_max: 4 * MIB,
    run,
};

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::open(&directory().join("own"), None, NOW).unwrap())
}

fn run(input: &[u8]) {
    let identity = identity();
    let digest = TokenSecret([7; 32]).digest();
    let path = file(directory().join("own/tokens").join(&digest), input);
    let listed = identity.open_tokens(NOW).unwrap();
    assert!(listed.tokens.len() + listed.damaged.len() <= 1);
    assert!(listed.tokens.iter().all(|it| it.digest == digest && it.expires_at > NOW.as_secs()));
    assert!(listed.damaged.iter().all(|why| why.contains(&digest)), "it names the file");

    // A new token can be made beside the damaged one.
    let new = NewToken {
        life: Duration::from_secs(60),
        client: None,
        replace: false,
        matching: None,
        uses: 1,
        by: None,
        addresses: Vec::new(),
    };
    let made = identity.new_token(new, NOW).unwrap().secret.digest();
    assert!(identity.open_tokens(NOW).unwrap().tokens.iter().any(|it| it.digest == made));
    assert!(identity.cancel_token(&made).unwrap());
    // That removes tokens that expired long ago; all others can be cancelled.
    let there = path.exists();
    assert!(there || listed == OpenTokens::default());
    assert_eq!(identity.cancel_token(&digest).unwrap(), there);
}
