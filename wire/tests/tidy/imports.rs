//! Imports between the files of a crate, and circles among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::{Token, close, is_name, without_tests};

/// The files that each file of a crate imports from.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// The imports of a crate; its files are given by their paths below `src`. Every written path counts,
/// in a `use` or elsewhere, up to its last module. A re-exported name is imported from the re-exporting
/// file. Tests don't count.
pub fn imports(krate: &str, files: &[(&str, &str)]) -> Imports {
    let modules: BTreeMap<Vec<&str>, &str> =
        files.iter().map(|(path, _)| (module(path), *path)).collect();
    let read: Vec<_> = files.iter().map(|(path, text)| (*path, without_tests(text))).collect();
    let tests: BTreeSet<&str> = read
        .iter()
        .flat_map(|(path, (_, tests))| {
            let modules = &modules;
            tests.iter().filter_map(move |name| {
                let mut test = module(path);
                test.push(name);
                modules.get(&test).copied()
            })
        })
        .collect();
    let mut imports = Imports::new();
    for (path, (tokens, _)) in read.iter().filter(|(path, _)| !tests.contains(path)) {
        let found = paths(tokens);
        let found = found.iter().filter_map(|it| resolve(krate, path, it, &modules));
        let found = found.filter(|other| other != path).map(str::to_owned).collect();
        imports.insert((*path).to_owned(), found);
    }
    imports
}

/// The module of a file. The root of a program below `bin` is a module with that name.
fn module(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Vec<&str> = path.split('/').collect();
    if matches!(module[..], ["lib"] | [.., "mod"] | ["bin", _, "main"]) {
        module.pop();
    }
    module
}

/// The file that a path in `file` refers to.
fn resolve<'a>(
    krate: &str,
    file: &'a str,
    path: &'a [String],
    modules: &BTreeMap<Vec<&'a str>, &'a str>,
) -> Option<&'a str> {
    let here = module(file);
    let mut rest = path.iter().map(String::as_str).peekable();
    // The program's root refers to the library by the crate's name, and to its own modules as a library
    // does.
    let root = |from: &str| from == "crate" || (file == "main.rs" && from == krate);
    let program = if here.first() == Some(&"bin") { 2 } else { 0 };
    let mut base = match *rest.peek()? {
        from if root(from) => {
            rest.next();
            here[..program].to_vec()
        }
        "self" | "super" => {
            let mut base = here;
            rest.next_if_eq(&"self");
            while rest.next_if_eq(&"super").is_some() {
                base.pop();
            }
            base
        }
        child => {
            let mut inner = if file == "main.rs" { Vec::new() } else { here.clone() };
            inner.push(child);
            modules.get(&inner)?;
            inner.pop();
            inner
        }
    };
    for next in rest {
        base.push(next);
        if !modules.contains_key(&base) {
            base.pop();
            break;
        }
    }
    modules.get(&base).copied()
}

/// All paths of a file, relative to the file itself; those of a braced `use` one by one. In a module
/// inside it, the first `super` refers to the file.
fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let (mut paths, mut at) = (Vec::new(), 0);
    // Ends of the modules around the token.
    let mut inner: Vec<usize> = Vec::new();
    while let Some(token) = tokens.get(at) {
        inner.retain(|end| at < *end);
        let known = paths.len();
        if let [word, _, open, ..] = &tokens[at..]
            && (word.text.as_str(), open.text.as_str()) == ("mod", "{")
        {
            inner.extend(close(tokens, at + 2));
        }
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        if token.text == "use" {
            at = tree(tokens, at + 1, &[], &mut paths);
        } else if token.text.starts_with(is_name) && before != "::" && !is_scope(tokens, at) {
            let mut path = vec![token.text.clone()];
            while let [colons, name, ..] = &tokens[at + 1..]
                && colons.text == "::"
                && name.text.starts_with(is_name)
            {
                path.push(name.text.clone());
                at += 2;
            }
            if path.len() > 1 {
                paths.push(path);
            }
            at += 1;
        } else {
            at += 1;
        }
        for path in &mut paths[known..] {
            let own = path.iter().take(inner.len()).take_while(|name| *name == "super").count();
            path.drain(..own);
        }
    }
    paths.retain(|path| !path.is_empty());
    paths
}

/// True if the path is a visibility scope: `pub(in path)`.
fn is_scope(tokens: &[Token], at: usize) -> bool {
    let before = |by: usize| at.checked_sub(by).map_or("", |at| tokens[at].text.as_str());
    (before(3), before(2), before(1)) == ("pub", "(", "in")
}

/// Parses a `use` tree that begins at `at`. Returns its end.
fn tree(tokens: &[Token], mut at: usize, head: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = head.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => {}
            "{" => {
                let end = close(tokens, at).unwrap_or(tokens.len());
                at += 1;
                while at < end {
                    at = tree(tokens, at, &path, paths) + 1;
                }
                return end + 1;
            }
            "," | "}" | ";" => break,
            // The local name doesn't matter.
            "as" => at += 1,
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    if path.last().is_some_and(|last| last == "self" || last == "*") && path.len() > 1 {
        path.pop();
    }
    paths.push(path);
    at
}

/// Files that import each other in a circle; `None` if there are none.
pub fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| follow(imports, file, &mut Vec::new(), &mut done))
}

fn follow<'a>(
    imports: &'a Imports,
    file: &'a str,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(from) = way.iter().position(|other| *other == file) {
        return Some(way[from..].iter().map(|file| (*file).to_owned()).collect());
    }
    if done.contains(file) {
        return None;
    }
    way.push(file);
    let found = imports.get(file)?.iter().find_map(|next| follow(imports, next, way, done));
    way.pop();
    done.insert(file);
    found
}

#[test]
fn paths_lead_to_files() {
    let files = [
        ("lib.rs", "pub mod a; pub mod b;"),
        ("a/mod.rs", "mod c; pub use self::c::{C, d::{self, D as E}}; fn f() { b::g() }"),
        ("a/c/mod.rs", "mod d; #[cfg(test)] mod tests; use crate::b::*; use std::fmt;"),
        ("a/c/d.rs", "pub(in crate::a) fn f() -> super::super::super::b::B {}"),
        ("a/c/tests.rs", "use crate::a::C;"),
        ("b.rs", "#[cfg(test)] mod tests { use crate::a::C; } mod e { use super::*; fn f() {} }"),
        ("main.rs", "fn main() { own::a::f() }"),
        ("bin/tool/main.rs", "mod b; use b::B;"),
        ("bin/tool/b.rs", "use crate::c;"),
    ];
    let found = imports("own", &files);
    let of = |path: &str| found[path].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a/mod.rs"), ["a/c/d.rs", "a/c/mod.rs"]);
    assert_eq!(of("a/c/mod.rs"), ["b.rs"]);
    assert_eq!(of("a/c/d.rs"), ["b.rs"]);
    assert_eq!((of("b.rs"), of("main.rs")), (vec![], vec!["a/mod.rs"]));
    assert_eq!(of("bin/tool/main.rs"), ["bin/tool/b.rs"]);
    assert_eq!(of("bin/tool/b.rs"), ["bin/tool/main.rs"], "the program's root, not the library's");
    assert_eq!(circle(&found), Some(vec!["bin/tool/b.rs".into(), "bin/tool/main.rs".into()]));
}

#[test]
fn a_circle_is_found() {
    let files = [
        ("a.rs", "use crate::b::c::C;"),
        ("b/mod.rs", "mod c; use self::c::C;"),
        ("b/c.rs", "fn f() { super::f() }"),
    ];
    let circle = circle(&imports("own", &files)).unwrap();
    assert_eq!(circle, ["b/c.rs", "b/mod.rs"]);
}
