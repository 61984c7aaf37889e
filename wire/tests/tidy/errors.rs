//! Messages of errors: none contains its cause.

/// A `#[error("…")]` and the item that it stands over.
struct Message<'a> {
    line: usize,
    /// What stands between the parentheses.
    format: &'a str,
    /// The fields of the struct or variant, with their attributes.
    fields: &'a str,
}

/// The lines and fields of messages that contain their cause: a field that is the source, or whose
/// type is an error.
pub fn with_causes(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for message in messages(text) {
        for (at, field) in fields(message.fields).iter().enumerate() {
            let name = name(field, at);
            // What has no words of its own stands for an error of a library, and has no source.
            let stands_for_it = message.format == "\"{0}\"" && !is_marked(field);
            let has_cause = is_marked(field) || name == "source" || is_error(field);
            if has_cause && !stands_for_it && is_formatted(message.format, &name) {
                found.push((message.line, name));
            }
        }
    }
    found
}

fn messages(text: &str) -> impl Iterator<Item = Message<'_>> {
    const ATTRIBUTE: &str = "#[error(";
    text.match_indices(ATTRIBUTE).map(|(at, _)| {
        let open = at + ATTRIBUTE.len() - 1;
        let close = closing(text, open);
        let after = close + 2;
        // Of a unit variant the comma, of a struct the fields come first.
        let next = text[after..].find(['(', '{', ',', ';']).map_or(text.len(), |it| it + after);
        let next = past_attributes(text, after, next);
        let fields = match text.as_bytes().get(next) {
            Some(b'(' | b'{') => &text[next + 1..closing(text, next)],
            _ => "",
        };
        let line = text[..at].lines().count();
        Message { line, format: &text[open + 1..close], fields }
    })
}

/// `next`, or what comes first after all further attributes and comments.
fn past_attributes(text: &str, mut after: usize, next: usize) -> usize {
    loop {
        let rest = text[after..].trim_start();
        after = text.len() - rest.len();
        if rest.starts_with("#[") {
            after = closing(text, after + 1) + 1;
        } else if rest.starts_with("//") {
            after += rest.find('\n').unwrap_or(rest.len());
        } else {
            let found = text[after..].find(['(', '{', ',', ';']);
            let item = found.map_or(next, |it| it + after);
            // The parentheses of `pub(super)` are no fields.
            let is_visibility = text[after..item].trim_end().ends_with("pub");
            if !is_visibility {
                return item;
            }
            after = closing(text, item) + 1;
        }
    }
}

/// Where what opens at `open` closes; texts are skipped.
fn closing(text: &str, open: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut quoted) = (0, open, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    panic!("not closed: {}", &text[open..])
}

/// The fields, parted at commas outside of brackets; comments are left out.
fn fields(text: &str) -> Vec<String> {
    let text: String =
        text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join(" ");
    let (mut fields, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(String::new());
                continue;
            }
            _ => {}
        }
        fields.last_mut().unwrap().push(c);
    }
    fields.retain(|field| !field.trim().is_empty());
    fields
}

fn without_attributes(field: &str) -> String {
    let mut rest = field.trim();
    while rest.starts_with("#[") {
        rest = rest[closing(rest, 1) + 1..].trim_start();
    }
    let rest = rest.strip_prefix("pub").unwrap_or(rest).trim_start();
    let rest = if rest.starts_with('(') { &rest[closing(rest, 0) + 1..] } else { rest };
    rest.trim().to_owned()
}

/// The name of a field, or its place.
fn name(field: &str, at: usize) -> String {
    let plain = without_attributes(field);
    let (before, after) = plain.split_once(':').unwrap_or((&plain, ":"));
    if after.starts_with(':') { at.to_string() } else { before.trim().to_owned() }
}

fn is_marked(field: &str) -> bool {
    ["#[source]", "#[from]"].iter().any(|mark| field.contains(mark))
}

fn is_error(field: &str) -> bool {
    let plain = without_attributes(field);
    plain.trim_end_matches('>').ends_with("Error") || plain.contains("dyn Error")
}

/// Whether a format names a field: `{name}`, `{name:?}`, `name` or `.0` among the arguments.
fn is_formatted(format: &str, name: &str) -> bool {
    let Some(quoted) = format.trim().strip_prefix('"') else { return false };
    let mut escaped = false;
    let ends = quoted.find(|c| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    let (text, arguments) = quoted.split_at(ends.unwrap_or(quoted.len()));
    let text = text.replace("{{", "");
    let mut placeholders =
        text.split('{').skip(1).map(|inner| inner.split(['}', ':']).next().unwrap());
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    placeholders.any(|inner| inner == name)
        || arguments.split(|c| !is_name(c)).any(|word| word == name)
}

#[test]
fn a_message_with_its_cause_is_found_however_it_is_written() {
    let broken = [
        "#[error(\"a: {0}\")] A(#[source] io::Error),",
        "#[error(\"a: {0:?}\")] A(#[from] io::Error),",
        "#[error(\"a: {}\", .0)] A(#[source] Box<dyn Error>),",
        "#[error(\"a: {error}\")]\n/// Text.\n A { path: P, /// Why.\n #[source] error: io::Error, },",
        "#[error(\"a: {}; {}\", 1, way_out(error, \"b\"))] A { #[source] error: E, },",
        "#[error(\"a: {source}\")] A { source: E },",
        "#[error(\"a: {error}\")] A { error: rustls::Error },",
        "#[error(\"a {0}\")]\n#[derive(Debug)]\npub(super) struct A(#[source] E);",
    ];
    for text in broken {
        assert_eq!(with_causes(text).len(), 1, "{text}");
    }
    let sound = [
        "#[error(\"a\")] A(#[source] io::Error),",
        "#[error(transparent)] A(#[from] io::Error),",
        "#[error(\"a {0}\")] A(String),",
        "#[error(\"{path} ({}) {{error}}\", at.len())] A { path: P, at: S, #[source] error: E },",
        "#[error(\"{0}\")]\nstruct A(sql::Error);",
        "#[error(\"a {b}\")]\nstruct A { b: u8 }",
        "#[error(\"a\")]\nA,\n#[error(\"{0}\")]\nB(u8),",
    ];
    for text in sound {
        assert_eq!(with_causes(text), [], "{text}");
    }
}
