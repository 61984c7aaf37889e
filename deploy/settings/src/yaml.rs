//! Reads a config file as a tree of texts, with the line of every key.
//!
//! serde-saphyr's own figment provider returns typed values without lines: `0123` would become the
//! number 123, and errors could not name the line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use figment::value::{Dict, Value};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use crate::error::ConfigError;

/// Contents of a file.
#[derive(Debug, Default)]
pub struct Document {
    /// Its keys and their texts, without keys that have no value.
    pub tree: Dict,
    /// The line of each key, joined with dots.
    pub lines: BTreeMap<String, u64>,
}

/// Reads a file.
///
/// # Errors
/// It is unreadable, or not a YAML document of keys and values.
pub fn read(path: &Path) -> Result<Document, ConfigError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => document(&file, &text),
        Err(error) => Err(ConfigError::unreadable(file, error)),
    }
}

fn document(file: &str, text: &str) -> Result<Document, ConfigError> {
    parse(text).map_err(|(line, why)| ConfigError::Syntax { place: at(file, line), why })
}

/// The keys of a file with this text, joined with dots, and their texts. A list becomes one text with
/// commas.
///
/// # Errors
/// It is not a YAML document of keys and values.
pub fn texts(file: &Path, text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let document = document(&file.display().to_string(), text)?;
    let tree = Value::from(document.tree);
    let text = |key: String| Some((key.clone(), text_of(tree.find_ref(&key)?)?));
    Ok(document.lines.into_keys().filter_map(text).collect())
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Array(_, entries) => {
            Some(entries.iter().filter_map(text_of).collect::<Vec<_>>().join(","))
        }
        _ => None,
    }
}

/// A file name with the line, if known.
pub fn at(file: &str, line: Option<u64>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

fn parse(text: &str) -> Result<Document, (Option<u64>, String)> {
    let options = serde_saphyr::options! { with_snippet: false };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| (error.location().map(|at| at.line()), one_line(&error)))?;
    let mut lines = BTreeMap::new();
    match root.value {
        Node::Null => Ok(Document::default()),
        Node::Map(map) => Ok(Document { tree: tree(map, text, "", &mut lines), lines }),
        _ => Err((
            Some(root.referenced.line()),
            "keys with values are expected, such as `server:`".to_owned(),
        )),
    }
}

/// The parser's message without its mention of the place.
fn one_line(error: &serde_saphyr::Error) -> String {
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest.to_owned(),
        _ => message.split(" at line ").next().unwrap_or_default().to_owned(),
    }
}

/// A YAML node. A plain scalar keeps its text.
#[derive(Debug)]
enum Node {
    Null,
    Plain,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn tree(
    map: Vec<(Spanned<String>, Spanned<Node>)>,
    text: &str,
    section: &str,
    lines: &mut BTreeMap<String, u64>,
) -> Dict {
    let mut dict = Dict::new();
    for (key, node) in map {
        let Spanned { value: key, referenced, .. } = key;
        let path = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        lines.insert(path.clone(), referenced.line());
        if let Some(value) = value(node.value, node.defined, text, &path, lines) {
            dict.insert(key, value);
        }
    }
    dict
}

fn value(
    node: Node,
    defined: Location,
    text: &str,
    path: &str,
    lines: &mut BTreeMap<String, u64>,
) -> Option<Value> {
    match node {
        Node::Null => None,
        Node::Plain => Some(Value::from(slice(text, defined)?)),
        Node::Text(text) => Some(text).filter(|text| !text.is_empty()).map(Value::from),
        Node::Map(map) => Some(Value::from(tree(map, text, path, lines))),
        Node::List(list) => {
            let entry = |node: Spanned<Node>| value(node.value, node.defined, text, path, lines);
            Some(Value::from(list.into_iter().filter_map(entry).collect::<Vec<_>>()))
        }
    }
}

fn slice(text: &str, place: Location) -> Option<&str> {
    let start = usize::try_from(place.span().byte_offset()?).ok()?;
    let len = usize::try_from(place.span().byte_len()?).ok()?;
    text.get(start..start.checked_add(len)?).map(str::trim)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_at(document: &Document, path: &str) -> Option<String> {
        Value::from(document.tree.clone()).find(path)?.into_string()
    }

    #[test]
    fn a_scalar_keeps_the_text_it_was_written_in() {
        let file =
            "a: 0123\nb:\n  c: 1e5\n  d: yes # really\n  e: \"0x10\"\n  f: 10_000\n  g: 5s\n";
        let document = parse(file).unwrap();
        let texts = ["a", "b.c", "b.d", "b.e", "b.f", "b.g"].map(|key| text_at(&document, key));
        let expected = ["0123", "1e5", "yes", "0x10", "10_000", "5s"];
        assert_eq!(texts, expected.map(|text| Some(text.to_owned())));
        assert_eq!((document.lines["b"], document.lines["b.e"]), (2, 5));
    }

    #[test]
    fn an_alias_and_a_merged_section_have_the_text_of_their_anchor() {
        let file = "a: &n 0042\nb: *n\nc: &s\n  x: 007\nd:\n  <<: *s\n  y: é\n";
        let document = parse(file).unwrap();
        assert_eq!(text_at(&document, "b").as_deref(), Some("0042"));
        assert_eq!(text_at(&document, "d.x").as_deref(), Some("007"));
        assert_eq!(text_at(&document, "d.y").as_deref(), Some("é"));
    }

    #[test]
    fn a_key_without_value_and_an_empty_file_say_nothing() {
        for file in ["", "# nothing\n", "---\n", "~\n"] {
            assert!(parse(file).unwrap().tree.is_empty(), "{file:?}");
        }
        assert!(parse("a:\nb: ~\nc: null\nd: ''\n").unwrap().tree.is_empty());
    }

    #[test]
    fn what_is_no_document_of_keys_is_refused_with_its_line() {
        let broken = [
            ("a: [1\n", 1),
            ("a: 1\na: 2\n", 2),
            ("\n- a\n", 2),
            ("text\n", 1),
            ("a: 1\n b: 2\n", 2),
            ("a: \"x\n", 1),
            ("a: *none\n", 1),
        ];
        for (file, line) in broken {
            let (found, why) = parse(file).map(|_| ()).unwrap_err();
            assert_eq!(found, Some(line), "{file:?}: {why}");
            assert!(!why.is_empty() && !why.contains('\n') && !why.contains("line "), "{why}");
        }
    }
}
