//! Rust code as tokens: enough to see a file's imports and the length of its functions.

/// A token of code and its line, from 1. Comments and quoted text are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The tokens of a file without its tests, and the names of modules that are test files.
pub fn without_tests(text: &str) -> (Vec<Token>, Vec<String>) {
    let all = tokens(text);
    let (mut kept, mut files) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < all.len() {
        let Some((end, file)) = test_module(&all[at..]) else {
            kept.push(all[at].clone());
            at += 1;
            continue;
        };
        files.extend(file);
        at += end;
    }
    (kept, files)
}

/// If a test module begins here, its end, and its name if it is a separate file.
fn test_module(tokens: &[Token]) -> Option<(usize, Option<String>)> {
    let word = |at: usize| tokens.get(at).map(|token| token.text.as_str());
    if (word(0), word(1), word(2)) != (Some("#"), Some("["), Some("cfg")) {
        return None;
    }
    let mut at = close(tokens, 1)?;
    if !tokens[..at].iter().any(|token| token.text == "test") {
        return None;
    }
    at += 1;
    while word(at) == Some("#") {
        at = close(tokens, at + 1)? + 1;
    }
    if word(at) == Some("pub") {
        at += 1;
        at = if word(at) == Some("(") { close(tokens, at)? + 1 } else { at };
    }
    if word(at) != Some("mod") {
        return None;
    }
    let name = word(at + 1)?.to_owned();
    match word(at + 2)? {
        "{" => Some((close(tokens, at + 2)? + 1, None)),
        _ => Some((at + 3, Some(name))),
    }
}

/// The position of the bracket that closes the one at `open`.
pub fn close(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// All tokens of a file.
pub fn tokens(text: &str) -> Vec<Token> {
    let (mut tokens, mut line) = (Vec::new(), 1);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        let length = if skipped > 0 {
            skipped
        } else if is_name(first) {
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        if skipped == 0 && !first.is_whitespace() {
            tokens.push(Token { text: word.to_owned(), line });
        }
        line += word.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Length of the comment or quoted text that begins here; 0 if there is none.
fn skipped(text: &str) -> usize {
    let until = |from: usize, end: &str| {
        text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    let raw = text.strip_prefix('b').unwrap_or(text);
    if let Some(hashes) =
        raw.strip_prefix('r').map(|it| it.len() - it.trim_start_matches('#').len())
    {
        let opening = text.len() - raw.len() + 1 + hashes;
        if text[opening..].starts_with('"') {
            return until(opening + 1, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    match text.chars().next() {
        Some('"') => quoted(text, '"').unwrap_or(text.len()),
        // A lifetime has no closing quote after its first letter.
        Some('\'') if text[1..].starts_with('\\') => quoted(text, '\'').unwrap_or(0),
        Some('\'') => {
            let letter = text[1..].chars().next().map_or(0, char::len_utf8);
            if text[1 + letter..].starts_with('\'') { letter + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return Some(at + 1);
        }
        escaped = !escaped && c == '\\';
    }
    None
}

pub fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The functions of a file: name, first line, and number of lines up to the closing brace.
pub fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut functions = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "fn") {
        let Some(name) = tokens.get(at + 1).filter(|it| it.text.starts_with(is_name)) else {
            continue;
        };
        let mut body = at + 2;
        while let Some(sign) = tokens.get(body) {
            match sign.text.as_str() {
                "(" | "[" => body = close(tokens, body).unwrap_or(tokens.len()),
                // A function of a trait or a foreign function has no body.
                ";" => break,
                "{" => {
                    let end = close(tokens, body).map_or(token.line, |end| tokens[end].line);
                    functions.push((name.text.clone(), token.line, end - token.line + 1));
                    break;
                }
                _ => {}
            }
            body += 1;
        }
    }
    functions
}

#[test]
fn comments_and_quotes_are_no_code() {
    let code = r##"use a::b; // use c
        /* d
        */ let e = "f\"g"; let h = 'i'; fn j<'k>(l: &'k str) { r#"m"n"#; '\''; '"' }"##;
    let words: Vec<String> = tokens(code).into_iter().map(|token| token.text).collect();
    let words = words.join(" ");
    assert_eq!(words, "use a :: b ; let e = ; let h = ; fn j < ' k > ( l : & ' k str ) { ; ; }");
    assert_eq!(tokens("a\n\"b\nc\"\nd").last().map(|token| token.line), Some(4));
}

#[test]
fn tests_are_left_out_and_functions_measured() {
    let code = "fn a(b: [u8; 2]) -> u8 {\n\n}\n#[cfg(test)]\nmod tests { fn c() {} }\n\
                #[cfg(test)] mod more; trait D { fn e(); }";
    let (tokens, files) = without_tests(code);
    assert_eq!(functions(&tokens), [("a".to_owned(), 1, 3)]);
    assert_eq!(files, ["more"]);
}
