//! Chosen tags of clients as labels of their series.

use wire::tag::{TagKey, TagSet};

/// Most keys. A key makes a series for each value that a client has had, and people group by few.
pub const KEYS_MAX: usize = 8;

/// Before each key in a label's name, so that no tag takes the name of another label (`client`, `nic`,
/// `direction`, and those that Prometheus adds).
const PREFIX: &str = "tag_";

/// The keys of tags that become labels: key `site` is label `tag_site`. A client without the tag has no
/// such label, which to Prometheus is the same as an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagLabels(Vec<(TagKey, String)>);

/// Keys that can't be labels together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagLabelsError {
    /// Too many.
    #[error("{0} keys; at most {KEYS_MAX} are allowed")]
    TooMany(usize),
    /// The same label twice: names of labels have no `-` and no `.`.
    #[error("{0} and {1} are both the label {2}; choose one of them")]
    Same(TagKey, TagKey, String),
}

impl TagLabels {
    /// The labels of these keys, in their order.
    ///
    /// # Errors
    /// [`TagLabelsError`] names the keys.
    pub fn new(keys: &[TagKey]) -> Result<Self, TagLabelsError> {
        if keys.len() > KEYS_MAX {
            return Err(TagLabelsError::TooMany(keys.len()));
        }
        let mut labels: Vec<(TagKey, String)> = Vec::new();
        for key in keys {
            let label = format!("{PREFIX}{}", key.as_str().replace(['-', '.'], "_"));
            if let Some((other, _)) = labels.iter().find(|(_, taken)| *taken == label) {
                return Err(TagLabelsError::Same(other.clone(), key.clone(), label));
            }
            labels.push((key.clone(), label));
        }
        Ok(Self(labels))
    }

    /// Names and values of the labels of a client with these tags.
    pub fn of<'a>(&'a self, tags: &'a TagSet) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(|(key, label)| Some((label.as_str(), tags.get(key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(keys: &[&str]) -> Result<TagLabels, TagLabelsError> {
        let keys: Vec<TagKey> = keys.iter().map(|key| TagKey::new(key).unwrap()).collect();
        TagLabels::new(&keys)
    }

    #[test]
    fn a_client_has_the_labels_of_the_chosen_tags_that_it_has() {
        let chosen = labels(&["site", "os.name", "rack-row"]).unwrap();
        let tags = ["os.name=debian", "role=cache", "site=東京"].map(|it| it.parse().unwrap());
        let tags = TagSet::new(tags).unwrap();
        let found: Vec<_> = chosen.of(&tags).collect();
        assert_eq!(found, [("tag_site", "東京"), ("tag_os_name", "debian")]);
        assert_eq!(TagLabels::default().of(&tags).count(), 0);
    }

    #[test]
    fn keys_that_make_the_same_label_or_too_many_are_refused() {
        let same = labels(&["os.name", "site", "os-name"]).unwrap_err().to_string();
        assert_eq!(same, "os.name and os-name are both the label tag_os_name; choose one of them");
        assert!(labels(&["site", "site"]).is_err());
        let many: Vec<String> = (0..9).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(labels(&many), Err(TagLabelsError::TooMany(9)));
        assert!(labels(&many[1..]).is_ok());
    }
}
