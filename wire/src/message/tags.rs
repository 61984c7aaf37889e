//! The message by which an agent tells its tags.

use rkyv::{Archive, Deserialize, Serialize};

use crate::tag::{TAGS_MAX, Tag, TagError, TagKey, TagSet};

/// The tags of a host, on a stream of its own once the agent is welcome. The collector answers with the
/// tags that count. Older collectors answer [`crate::message::Refused`], and the connection goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Tags {
    /// All of them; none is a statement, too.
    pub tags: Vec<TagText>,
    /// For how long the agent has had them, nanoseconds: a length of time, because its clock may be wrong.
    /// 0 in answers.
    pub age_ns: u64,
}

/// One tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct TagText {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Tags {
    /// The message about a set that the sender has had for `age_ns` nanoseconds.
    #[must_use]
    pub fn of(set: &TagSet, age_ns: u64) -> Self {
        let text = |(key, value): (&TagKey, &str)| TagText {
            key: key.to_string(),
            value: value.to_owned(),
        };
        Self { tags: set.iter().map(text).collect(), age_ns }
    }

    /// The set.
    ///
    /// # Errors
    /// [`TagError`] names the rule that a tag breaks.
    pub fn set(&self) -> Result<TagSet, TagError> {
        let tags: Result<Vec<Tag>, _> =
            self.tags.iter().map(|it| Tag::new(&it.key, &it.value)).collect();
        TagSet::new(tags?)
    }

    /// Fails for a tag that breaks a rule, or too many.
    pub(super) fn check(&self) -> Result<(), TagError> {
        // Answers may hold those of two sources.
        if self.tags.len() > 2 * TAGS_MAX {
            return Err(TagError::TooMany(self.tags.len()));
        }
        self.tags.iter().try_for_each(|it| Tag::new(&it.key, &it.value).map(drop))
    }
}
