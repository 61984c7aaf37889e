//! The one-time token that `collector token` prints and `agent enroll` takes.
//!
//! As text: `nmt1_`, then in base64url without padding: the CA's fingerprint (32 bytes), the secret (32
//! bytes), the addresses (port as 2 bytes little-endian, length of the host as 1 byte, the host), and
//! the first 4 bytes of the SHA-256 of all that.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::certificate::Fingerprint;

/// Most addresses in a token.
pub const ADDRESSES_MAX: usize = 8;

/// The beginning of tokens of any version, before the version number.
const FAMILY: &str = "nmt";

/// The beginning of tokens of this version.
const PREFIX: &str = "nmt1_";

/// Length of a token's id: the first characters of its digest.
const ID_LEN: usize = 12;

/// Replacement for a token's secret part in shown text.
const MASK: &str = "***";

/// Fewest characters after a line break that count as the rest of a token: no word is that long.
const PASTED_MIN: usize = 20;

const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;

/// Proves possession of a token. Only the token itself shows its text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenSecret(pub [u8; SECRET_LEN]);

impl TokenSecret {
    /// Its SHA-256, hexadecimal. The collector recognises the secret by it without storing the secret.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(self.0).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A short id for a token with this digest. It reveals nothing about the secret.
#[must_use]
pub fn id(digest: &str) -> &str {
    digest.get(..ID_LEN).unwrap_or(digest)
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The address of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address, 1 to 255 bytes of printable ASCII.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

/// A one-time token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Fingerprint of the CA that signed the collector's certificate.
    pub ca: Fingerprint,
    /// The proof that the collector accepts.
    pub secret: TokenSecret,
    /// Addresses of the collector, if known.
    addresses: Vec<Address>,
}

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Anything else.
    #[error(
        "this is not a token: it doesn't start with {PREFIX}; paste what `collector token` printed"
    )]
    NotAToken,
    /// A token of another version.
    #[error(
        "this token has version {0}, but this program knows version 1; run agent and collector of \
         the same release"
    )]
    Version(String),
    /// Truncated or changed.
    #[error("the token is damaged: {0}; paste all of what `collector token` printed")]
    Damaged(&'static str),
    /// An address that a token can't contain.
    #[error(
        "{0:?} can't be in a token: a host is 1 to 255 printable ASCII characters, and at most \
         {ADDRESSES_MAX} addresses are allowed"
    )]
    Address(String),
}

impl Token {
    /// Makes a token.
    ///
    /// # Errors
    /// [`TokenError::Address`] names an address that a token can't contain.
    pub fn new(
        ca: Fingerprint,
        secret: TokenSecret,
        addresses: Vec<Address>,
    ) -> Result<Self, TokenError> {
        let sound = |address: &Address| {
            (1..=255).contains(&address.host.len())
                && address.host.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let beyond = addresses.get(ADDRESSES_MAX);
        if let Some(wrong) = addresses.iter().find(|address| !sound(address)).or(beyond) {
            return Err(TokenError::Address(wrong.host.clone()));
        }
        Ok(Self { ca, secret, addresses })
    }

    /// Addresses of the collector, if known.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    fn parse(bytes: &[u8]) -> Result<Self, TokenError> {
        let cut = || TokenError::Damaged("its end is missing");
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or_else(cut)?;
        if *checksum != self::checksum(content) {
            return Err(TokenError::Damaged("it is incomplete or a character is wrong"));
        }
        let (ca, rest) = content.split_first_chunk().ok_or_else(cut)?;
        let (secret, mut rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let mut addresses = Vec::new();
        while !rest.is_empty() {
            let (&[low, high, len], after) = rest.split_first_chunk().ok_or_else(cut)?;
            let (host, after) = after.split_at_checked(len.into()).ok_or_else(cut)?;
            let host = String::from_utf8_lossy(host).into_owned();
            addresses.push(Address { host, port: u16::from_le_bytes([low, high]) });
            rest = after;
        }
        Self::new(Fingerprint(*ca), TokenSecret(*secret), addresses)
    }
}

impl fmt::Display for Token {
    /// Includes the secret: the operator carries this text to the host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [self.ca.0, self.secret.0].concat();
        for Address { host, port } in &self.addresses {
            bytes.extend_from_slice(&port.to_le_bytes());
            bytes.push(u8::try_from(host.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(host.as_bytes());
        }
        bytes.extend_from_slice(&checksum(&bytes));
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Parses a pasted token and ignores white space anywhere in it.
    fn from_str(pasted: &str) -> Result<Self, TokenError> {
        let text: String = pasted.split_whitespace().collect();
        let (version, body) = text
            .strip_prefix("nmt")
            .and_then(|rest| rest.split_once('_'))
            .filter(|(version, _)| version.parse::<u16>().is_ok())
            .ok_or(TokenError::NotAToken)?;
        if version != "1" {
            return Err(TokenError::Version(version.to_owned()));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| TokenError::Damaged("it is incomplete or a character is wrong"))?;
        Self::parse(&bytes)
    }
}

/// Masks tokens in a text for showing it, also of other versions and with pasted line breaks: only
/// their beginning remains.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, secret)) = next_token(rest) {
        let (kept, hidden) = rest.split_at(before);
        shown.push_str(kept);
        shown.push_str(MASK);
        rest = &hidden[secret..];
    }
    if shown.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(shown + rest) }
}

/// Start and length of the secret part of the first token in a text.
fn next_token(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text[from..].find(FAMILY) {
        from += found + FAMILY.len();
        let digits = run(&text[from..], |c| c.is_ascii_digit());
        let body = from + digits + 1;
        if digits > 0 && text[from + digits..].starts_with('_') {
            let len = secret_len(&text[body..]);
            if len > 0 {
                return Some((body, len));
            }
        }
    }
    None
}

fn secret_len(text: &str) -> usize {
    let part =
        |from: usize| run(&text[from..], |c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let mut end = part(0);
    loop {
        let next = end + break_len(&text[end..]);
        let more = part(next);
        if next == end || more < PASTED_MIN {
            return end;
        }
        end = next + more;
    }
}

/// Length of the leading white space of a text, also in `{:?}` notation.
fn break_len(text: &str) -> usize {
    let mut len = 0;
    loop {
        let rest = &text[len..];
        let written = ["\\n", "\\r", "\\t"].iter().any(|it| rest.starts_with(it));
        match rest.chars().next() {
            Some(c) if c.is_whitespace() => len += c.len_utf8(),
            _ if written => len += 2,
            _ => return len,
        }
    }
}

/// Number of leading bytes whose characters satisfy `of`.
fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(content).into();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> Token {
        let address = Address { host: "collector.example".into(), port: 8082 };
        Token::new(Fingerprint([7; 32]), TokenSecret([9; 32]), vec![address]).unwrap()
    }

    fn any_token() -> impl Strategy<Value = Token> {
        let address =
            ("[!-~]{1,255}", any::<u16>()).prop_map(|(host, port)| Address { host, port });
        let addresses = proptest::collection::vec(address, 0..=ADDRESSES_MAX);
        (any::<[u8; 32]>(), any::<[u8; 32]>(), addresses).prop_map(|(ca, secret, addresses)| {
            Token::new(Fingerprint(ca), TokenSecret(secret), addresses).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written(token in any_token()) {
            prop_assert_eq!(token.to_string().parse(), Ok(token));
        }

        #[test]
        fn white_space_anywhere_is_tolerated(token in any_token(), at in any::<prop::sample::Index>()) {
            let mut text = token.to_string();
            text.insert_str(at.index(text.len()), " \r\n\t");
            prop_assert_eq!(format!(" {text}\n").parse(), Ok(token));
        }

        #[test]
        fn a_cut_token_is_refused(token in any_token(), at in any::<prop::sample::Index>()) {
            let text = token.to_string();
            prop_assert!(text[..at.index(text.len())].parse::<Token>().is_err());
        }

        #[test]
        fn a_token_with_one_wrong_character_is_refused(
            token in any_token(),
            at in any::<prop::sample::Index>(),
            wrong in "[A-Za-z0-9_-]",
        ) {
            let mut text = token.to_string();
            let at = PREFIX.len() + at.index(text.len() - PREFIX.len());
            prop_assume!(text[at..=at] != wrong);
            text.replace_range(at..=at, &wrong);
            prop_assert!(matches!(text.parse::<Token>(), Err(TokenError::Damaged(_))));
        }

        #[test]
        fn any_text_is_survived(text in "(nmt1_)?\\PC{0,200}") {
            let _refused = text.parse::<Token>();
            let _shown = masked(&text);
        }
    }

    #[test]
    fn a_token_is_what_version_1_says() {
        let text =
            Token::new(Fingerprint([0; 32]), TokenSecret([255; 32]), vec![]).unwrap().to_string();
        // Computed in Python: base64.urlsafe_b64encode(x + hashlib.sha256(x).digest()[:4]).
        let golden = "nmt1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD__________________________________________7upHKg";
        assert_eq!(text, golden);
    }

    #[test]
    fn errors_say_what_to_do() {
        let damaged = &token().to_string()[..40];
        for (text, said) in [
            ("", "collector token"),
            ("eyJhbGciOi", "collector token"),
            ("nmt_x", "collector token"),
            ("nmt2_AAAA", "version 2"),
            (damaged, "paste all"),
        ] {
            let error = text.parse::<Token>().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn addresses_that_can_not_be_carried_are_refused() {
        let with = |host: &str, times: usize| {
            let address = Address { host: host.into(), port: 1 };
            Token::new(Fingerprint([0; 32]), TokenSecret([0; 32]), vec![address; times])
        };
        assert!(with("a", ADDRESSES_MAX).is_ok());
        for (host, times) in [("a", ADDRESSES_MAX + 1), ("", 1), ("a b", 1), ("ä", 1)] {
            assert_eq!(with(host, times), Err(TokenError::Address(host.into())));
        }
        assert!(with(&"x".repeat(256), 1).is_err());
    }

    #[test]
    fn wherever_a_token_stands_in_a_text_its_secret_is_masked() {
        let token = token().to_string();
        let (secret, wrapped) =
            (&token[PREFIX.len()..], format!("{}\n  {}", &token[..60], &token[60..]));
        for text in [
            token.clone(),
            format!("client {token} is unknown; nmt is no token, nmt1_ neither: {token}!"),
            format!("{:?} and {wrapped}", format!("pasted {wrapped}")),
            format!("nmt7_{secret}"),
        ] {
            let shown = masked(&text);
            assert!(shown.contains("_***"), "{shown}");
            let leaks = secret
                .as_bytes()
                .windows(8)
                .any(|part| shown.as_bytes().windows(8).any(|other| other == part));
            assert!(!leaks, "{shown}");
        }
        let words = "nmt, nmt1 and nmt1_ beside netmon_collector_rejects_total\nand more";
        assert_eq!(masked(words), words);
        assert_eq!(masked("nmt1_abc\nthe next line stays"), "nmt1_***\nthe next line stays");
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert!(format!("{:?}", token()).contains("Secret(..)"));
    }
}
