//! Checks the pages that people read: links lead somewhere, and statements about the code are true.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wire::codec::{self, CodecError, LEN_MAX, frame_len};
use wire::delivery::{MISSING_MAX, WINDOW};
use wire::frame::{Gap, SAMPLES_MAX, flags};
use wire::message::{LIST_MAX, NOTICE_MAX, REASON_MAX, TEXT_MAX};

/// Longest README, lines: what a stranger will read.
const README_MAX: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every file below some folders with one of these endings.
fn files(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), endings, &mut found);
    }
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "node_modules" | "dist" | "corpus") {
                walk(&path, endings, found);
            }
        } else if path.extension().is_some_and(|it| endings.iter().any(|end| it == *end)) {
            found.push(path);
        }
    }
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files(&["agent", "collector", "deploy", "scripts", "wire"], &["md"]);
    pages.push(root().join("README.md"));
    pages
}

/// The text of all sources, with continued strings joined.
fn sources() -> String {
    let folders = ["agent", "collector", "deploy/settings", "scripts", "wire"];
    let sources = files(&folders, &["rs"]).iter().map(|it| fs::read_to_string(it).unwrap()).fold(
        String::new(),
        |mut all, source| {
            all.push_str(&source);
            all
        },
    );
    let mut parts = sources.split("\\\n");
    let mut whole = parts.next().unwrap().to_owned();
    parts.for_each(|part| whole.push_str(part.trim_start()));
    whole
}

/// A page without its code blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The targets of a page's links and pictures.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub generates them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let slug = |line: &str| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// The cells of a page's tables whose header starts with `heading`.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let after = text.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows = after.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).iter().filter(|it| !it.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor));
            if !there {
                broken.push(format!("{}: {link}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "these lead nowhere: {broken:#?}");
}

#[test]
fn every_page_can_be_found_from_the_readme() {
    let mut found = BTreeSet::from([root().join("README.md")]);
    let mut next: Vec<PathBuf> = found.iter().cloned().collect();
    while let Some(path) = next.pop() {
        for link in links(&fs::read_to_string(&path).unwrap()) {
            let file = link.split('#').next().unwrap();
            let target = path.parent().unwrap().join(file).canonicalize();
            let Ok(target) = target else { continue };
            if target.extension().is_some_and(|it| it == "md") && found.insert(target.clone()) {
                next.push(target);
            }
        }
    }
    let lost: Vec<PathBuf> = pages().into_iter().filter(|page| !found.contains(page)).collect();
    assert!(lost.is_empty(), "no page links to these: {lost:?}");
}

#[test]
fn the_readme_is_short() {
    let lines = page("README.md").lines().count();
    assert!(lines < README_MAX, "{lines} lines; move some into deploy/docs");
}

#[test]
fn the_protocol_page_has_every_kind_of_message() {
    let page = page("deploy/docs/protocol.md");
    let told: BTreeSet<u8> =
        rows(&page, "| Kind | Name").iter().map(|row| row[0].parse().unwrap()).collect();
    let known = |kind: &u8| {
        let bytes = [b'N', b'M', b'O', b'N', codec::VERSION, *kind, 0, 0, 0, 0, 0, 0];
        !matches!(codec::decode(&bytes), Err(CodecError::Kind(_)))
    };
    let known: BTreeSet<u8> = (0..=u8::MAX).filter(known).collect();
    assert_eq!(told, known);
}

#[test]
fn the_protocol_page_has_the_sizes_and_limits_of_the_code() {
    let page = page("deploy/docs/protocol.md");
    let thousands = |number: usize| match number {
        0..1000 => number.to_string(),
        1000..1_000_000 => format!("{},{:03}", number / 1000, number % 1000),
        _ => {
            format!("{},{:03},{:03}", number / 1_000_000, number / 1000 % 1000, number % 1000)
        }
    };
    let sample = frame_len(1, 0) - frame_len(0, 0);
    let mix = frame_len(0, 1) - frame_len(0, 0);
    for said in [
        format!("Sample, {sample} bytes:"),
        format!("Mix, {mix} bytes:"),
        format!("| samples | list of Sample | at most {} |", thousands(SAMPLES_MAX)),
        format!("| 8 | 4 | length of the body, at most {} |", thousands(LEN_MAX as usize)),
        format!("| text | {TEXT_MAX} bytes, without NUL; "),
        format!("a reason {}, a Notice {} |", thousands(REASON_MAX), thousands(NOTICE_MAX)),
        format!("| list | {} entries |", thousands(LIST_MAX)),
        format!("| missing ranges in an Ack | {MISSING_MAX} |"),
        format!("| {} (the window) |", thousands(usize::try_from(WINDOW).unwrap())),
    ] {
        assert!(page.contains(&said), "not there: {said}");
    }
}

#[test]
fn the_figures_page_has_every_gap_and_flag() {
    let page = page("deploy/docs/figures.md");
    let told = |heading: &str| -> Vec<(u32, String)> {
        let row = |row: &Vec<&str>| (row[0].parse().unwrap(), row[1].trim_matches('`').to_owned());
        rows(&page, heading).iter().map(row).collect()
    };
    let gaps: Vec<_> = Gap::ALL.iter().map(|it| (*it as u32, it.name().to_owned())).collect();
    assert_eq!(told("| | `reason`"), gaps);
    let named = (0..32)
        .map(|bit| 1 << bit)
        .filter_map(|flag| flags::names(flag).first().map(|name| (flag, (*name).to_owned())));
    assert_eq!(told("| Bit | Name"), named.collect::<Vec<_>>());
}

#[test]
fn the_promises_name_tests_that_there_are() {
    let (page, sources) = (page("deploy/docs/architecture.md"), sources());
    let promises = rows(&page, "| Promise");
    assert!(promises.len() >= 4);
    for row in &promises {
        for test in quoted(row[2]) {
            let there = match test.strip_prefix("scripts/") {
                Some(script) => {
                    root().join("scripts").join(script.split(' ').next().unwrap()).exists()
                }
                None => {
                    sources.contains(&format!("fn {test}("))
                        || sources.contains(&format!(" {test},"))
                }
            };
            assert!(there, "no test is called {test}");
        }
    }
}

#[test]
fn each_word_of_the_glossary_is_one_type() {
    let (page, sources) = (page("deploy/docs/architecture.md"), sources());
    let words = rows(&page, "| Word");
    assert!(words.len() > 30);
    let mut seen = BTreeSet::new();
    for row in &words {
        assert!(seen.insert(row[0]), "{} is there twice", row[0]);
        for name in quoted(row[2]) {
            let defined = ["struct", "enum", "trait", "macro_rules!"].iter().any(|kind| {
                let definition = format!("{kind} {name}");
                sources.match_indices(&definition).any(|(at, _)| {
                    let next = sources[at + definition.len()..].chars().next().unwrap();
                    !next.is_alphanumeric() && next != '_'
                })
            });
            assert!(defined, "{}: there is no type {name}", row[0]);
        }
    }
}

#[test]
fn troubleshooting_quotes_messages_that_there_are() {
    let (page, sources) = (page("deploy/docs/troubleshooting.md"), sources());
    let rows = rows(&page, "| You see");
    assert!(rows.len() > 10);
    for message in rows.iter().flat_map(|row| quoted(row[0])).filter(|it| it.contains(' ')) {
        assert!(sources.contains(message), "no program says: {message}");
    }
}
