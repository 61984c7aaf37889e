//! Tags: what people group hosts by, such as `site=ams` and `role=cache`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most tags of one client from one source: more than anybody groups by, and few enough that a list of
/// 10,000 clients stays a few MiB.
pub const TAGS_MAX: usize = 16;

/// Longest key, bytes.
pub const KEY_MAX: usize = 32;

/// Longest value, bytes.
pub const VALUE_MAX: usize = 64;

/// Characters of a value besides letters and digits. A comma separates tags in variables and in URLs, so
/// values have none.
const VALUE_SIGNS: &str = "-_.:/@+";

/// A text that is not a tag. Each names the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// No `=`.
    #[error("write a tag as key=value, for example site=ams")]
    Form,
    /// Not a key.
    #[error(
        "{0:?} can't be a tag's key: 1 to {KEY_MAX} characters of a-z, 0-9, '_', '-' and '.', and the \
         first is a letter"
    )]
    Key(String),
    /// Not a value.
    #[error(
        "{1:?} can't be the value of tag {0}: 1 to {VALUE_MAX} bytes of letters, digits and \
         {VALUE_SIGNS}"
    )]
    Value(String, String),
    /// Two tags with one key.
    #[error("tag {0} is there twice; a key has one value")]
    Twice(String),
    /// Too many.
    #[error("{0} tags; at most {TAGS_MAX} are allowed")]
    TooMany(usize),
}

/// A key: `site`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagKey(String);

impl TagKey {
    /// Checks a key.
    ///
    /// # Errors
    /// [`TagError::Key`] names the rule.
    pub fn new(key: &str) -> Result<Self, TagError> {
        let sound = key.len() <= KEY_MAX
            && key.starts_with(|c: char| c.is_ascii_lowercase())
            && key.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.')
            });
        if sound { Ok(Self(key.to_owned())) } else { Err(TagError::Key(key.to_owned())) }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TagKey {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        Self::new(text)
    }
}

impl TryFrom<String> for TagKey {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        Self::new(&text)
    }
}

impl From<TagKey> for String {
    fn from(TagKey(key): TagKey) -> Self {
        key
    }
}

/// One tag, written `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag {
    key: TagKey,
    value: String,
}

impl Tag {
    /// Checks a tag.
    ///
    /// # Errors
    /// [`TagError`] names the rule.
    pub fn new(key: &str, value: &str) -> Result<Self, TagError> {
        let key = TagKey::new(key)?;
        let sound = (1..=VALUE_MAX).contains(&value.len())
            && value.chars().all(|c| c.is_alphanumeric() || VALUE_SIGNS.contains(c));
        if sound {
            Ok(Self { key, value: value.to_owned() })
        } else {
            Err(TagError::Value(key.0, value.to_owned()))
        }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &TagKey {
        &self.key
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let (key, value) = text.split_once('=').ok_or(TagError::Form)?;
        Self::new(key, value)
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.to_string()
    }
}

/// The tags of a client from one source, or those that count: one value a key, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagSet(BTreeMap<TagKey, String>);

impl TagSet {
    /// Puts tags together.
    ///
    /// # Errors
    /// [`TagError`] if a key is there twice, or if there are too many.
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Self, TagError> {
        let mut set = Self::default();
        for Tag { key, value } in tags {
            if set.0.contains_key(&key) {
                return Err(TagError::Twice(key.0));
            }
            set.0.insert(key, value);
        }
        if set.0.len() > TAGS_MAX { Err(TagError::TooMany(set.0.len())) } else { Ok(set) }
    }

    /// Sets a tag, in place of one with its key.
    pub fn set(&mut self, Tag { key, value }: Tag) {
        self.0.insert(key, value);
    }

    /// Removes the tag with this key. True if there was one.
    pub fn remove(&mut self, key: &TagKey) -> bool {
        self.0.remove(key).is_some()
    }

    /// These tags, with those of `winner` over them.
    #[must_use]
    pub fn under(&self, winner: &Self) -> Self {
        let mut tags = self.0.clone();
        tags.extend(winner.0.iter().map(|(key, value)| (key.clone(), value.clone())));
        Self(tags)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &TagKey) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// True if this tag is in it.
    #[must_use]
    pub fn has(&self, tag: &Tag) -> bool {
        self.get(&tag.key) == Some(tag.value())
    }

    /// True if all of these tags are in it.
    #[must_use]
    pub fn has_all(&self, tags: &[Tag]) -> bool {
        tags.iter().all(|tag| self.has(tag))
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&TagKey, &str)> {
        self.0.iter().map(|(key, value)| (key, value.as_str()))
    }

    /// Number of tags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for TagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_key_and_a_value() {
        for text in
            ["site=ams", "role=cache", "rack=12", "os.name=debian/12", "city=东京", "a=B-_.:/@+"]
        {
            let tag: Tag = text.parse().unwrap();
            assert_eq!(tag.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_tag_is_refused_with_the_rule() {
        let long = "x".repeat(VALUE_MAX + 1);
        for (text, rule) in [
            ("site", "key=value"),
            ("=ams", "the first is a letter"),
            ("Site=ams", "a-z"),
            ("9site=ams", "the first is a letter"),
            (&format!("{long}=ams"), "1 to 32 characters"),
            ("site=", "1 to 64 bytes"),
            (&format!("site={long}"), "1 to 64 bytes"),
            ("site=a b", "letters, digits and"),
            ("site=a,b", "letters, digits and"),
            ("site=a=b", "letters, digits and"),
            ("site=a\u{202e}b", "letters, digits and"),
        ] {
            let error = text.parse::<Tag>().unwrap_err().to_string();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }

    #[test]
    fn a_set_has_one_value_a_key_and_the_winners_tags_win() {
        let set = |texts: &[&str]| TagSet::new(texts.iter().map(|it| it.parse().unwrap()));
        let agent = set(&["site=ams", "role=cache"]).unwrap();
        let collector = set(&["site=fra"]).unwrap();
        assert_eq!(agent.under(&collector).to_string(), "role=cache site=fra");
        let twice = set(&["site=ams", "site=fra"]).unwrap_err().to_string();
        assert!(twice.contains("site is there twice"), "{twice}");
        let many = (0..=TAGS_MAX).map(|at| Tag::new(&format!("k{at}"), "v").unwrap());
        assert_eq!(TagSet::new(many), Err(TagError::TooMany(TAGS_MAX + 1)));
    }
}
