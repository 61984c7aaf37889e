//! House rules beyond the lints, checked over the whole repository.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/errors.rs"]
mod errors;
#[path = "tidy/imports.rs"]
mod imports;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file of a `src`, lines.
const LINES_MAX: usize = 450;

/// Longest function in a `src`, lines from its name to its closing brace: a screen and a half. Half of
/// all functions have at most seven lines; one in ten has more than 24.
const FUNCTION_MAX: usize = 80;

/// Longest `main.rs`, lines.
const MAIN_MAX: usize = 60;

/// Where `unsafe` code is allowed: the ring, and bpf(2) in benchmarks, which no program includes.
const UNSAFE_IN: [&str; 2] = ["agent/src/capture/ring", "scripts/testbed/src/generator.rs"];

/// Where rustls-pemfile is allowed.
const PEMFILE_IN: &str = "wire/src/pem.rs";

/// The modules of each crate, from the outside in. Each may only import later ones.
const ARROWS: [(&str, &str); 3] = [
    (
        "agent",
        "main commands cli doctor enroll nics top watch run config ship identity connection \
         owner sampler capture clocks account nic talkers",
    ),
    (
        "collector",
        "main commands admin cli doctor run top export import backup sql store_location config web otlp metrics alerts accounts ingest live \
         writer store identity http_client tls_client secret_file spreadsheet talker_words audit listen bucket time",
    ),
    (
        "wire",
        "delivery bounds codec message tag coarsen predict frame talker_sums talkers flags well_known gap pack token pem certificate private_file \
         permission causes advice kind id amount seq time number",
    ),
];

/// Where libc's constants are needed: the kernel's packet sockets, and bpf(2).
const LIBC_IN: [&str; 2] = ["agent/src/capture/", "scripts/testbed/src/generator.rs"];

/// The folders of crates.
const CRATES: [&str; 6] =
    ["agent", "collector", "deploy/settings", "scripts/fuzzing", "scripts/testbed", "wire"];

/// Where the programs read their clocks. (Certificates use TLS's time type, `UnixTime`.)
const CLOCKS_IN: [&str; 2] = ["agent/src/clocks.rs", "collector/src/time.rs"];

/// Names that have types of their own, where they are declared with bare integers otherwise.
const TYPED: [(&str, &[&str]); 4] = [
    (
        "Packets",
        &[
            "captured",
            "dropped",
            "drops",
            "drops_before",
            "drops_total",
            "inexact_total",
            "late_total",
            "offered",
            "packets",
            "rx_packets",
            "seen",
            "size_packets",
            "total_packets",
            "tx_packets",
        ],
    ),
    (
        "Bytes",
        &[
            "billed_bytes",
            "billed_max_bytes",
            "opening_bytes",
            "projected_bytes",
            "provider_bytes",
            "quota_bytes",
            "rx_bytes",
            "total_bytes",
            "tx_bytes",
            "used_bytes",
            "used_max_bytes",
        ],
    ),
    ("NicId (a name: NicName)", &["nic", "nic_id"]),
    (
        "WallNs, BootNs or Seq (a length: another name)",
        &[
            "after_ns",
            "arrived_ns",
            "asked_ns",
            "at_ns",
            "before_ns",
            "begin_ns",
            "boot_ns",
            "committed_seq",
            "due_ns",
            "end_ns",
            "first_seq",
            "from_ns",
            "heard_ns",
            "last_seen_ns",
            "last_seq",
            "now_ns",
            "seq",
            "since_ns",
            "start_ns",
            "started_ns",
            "wall_ns",
        ],
    ),
];

/// The programs' crates.
const PROGRAMS: [&str; 4] = ["agent/src/", "collector/src/", "deploy/settings/src/", "wire/src/"];

/// Where standard output and error are written: printing, logging, and full-screen views.
const OUTPUT_IN: [&str; 3] = [
    "deploy/settings/src/output.rs",
    "deploy/settings/src/log.rs",
    "deploy/settings/src/terminal/",
];

/// Types that both programs or both stores have, each for itself. All other names of types are used once.
const TWINS: [&str; 15] = [
    "CheckConfigArgs",
    "Cli",
    "Command",
    "Config",
    "EnrollError",
    "Failure",
    "IdentityError",
    "NicIds",
    "RowKey",
    "RunError",
    "ServerSection",
    "SqliteError",
    "State",
    "TopArgs",
    "TopError",
];

struct Source {
    /// Path from the root of the repository.
    path: String,
    text: String,
}

impl Source {
    fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// The lines of code, without comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default())
    }

    fn in_src(&self) -> bool {
        self.path.contains("/src/")
    }
}

/// All Rust files of the repository except this one, which names what it forbids.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["agent", "collector", "deploy", "scripts", "wire"] {
        walk(&root.join(folder), &mut files);
    }
    let source = |file: PathBuf| Source {
        path: file.strip_prefix(&root).unwrap().display().to_string(),
        text: fs::read_to_string(&file).unwrap(),
    };
    let sources: Vec<Source> = files.into_iter().map(source).collect();
    sources.into_iter().filter(|source| !source.path.starts_with("wire/tests/tidy")).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "node_modules") {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails with the names of the files that break a rule.
fn assert_none(rule: &str, breaks: impl Fn(&Source) -> bool) {
    let sources = sources();
    assert!(sources.len() > 30, "only {} files found", sources.len());
    let broken: Vec<&str> =
        sources.iter().filter(|source| breaks(source)).map(|source| source.path.as_str()).collect();
    assert!(broken.is_empty(), "{rule}: {broken:?}");
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !code::is_name(c)).any(|other| other == word)
}

#[test]
fn files_are_short() {
    assert_none("split these", |source| source.in_src() && source.lines() > LINES_MAX);
    assert_none("move code out of these", |source| {
        source.path.ends_with("src/main.rs") && source.lines() >= MAIN_MAX
    });
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for source in sources().iter().filter(|source| source.in_src()) {
        let (tokens, _) = code::without_tests(&source.text);
        let functions = code::functions(&tokens);
        let found = functions.iter().filter(|(_, _, lines)| *lines > FUNCTION_MAX);
        long.extend(found.map(|(name, at, lines)| format!("{}:{at} {name}: {lines}", source.path)));
    }
    assert!(long.is_empty(), "part these: {long:?}");
}

#[test]
fn every_file_says_first_what_it_is() {
    assert_none("start these with `//!`", |source| {
        source.in_src() && !source.text.starts_with("//! ")
    });
}

#[test]
fn unsafe_code_is_in_the_ring_and_the_generator_only() {
    assert_none("unsafe code", |source| {
        source.in_src()
            && !UNSAFE_IN.iter().any(|path| source.path.starts_with(path))
            && source.code().any(|line| has_word(line, "unsafe"))
    });
}

#[test]
fn nothing_is_left_to_do_or_to_debug() {
    assert_none("finish these", |source| {
        let left = ["TODO", "FIXME", "XXX"];
        source.text.lines().any(|line| left.iter().any(|word| has_word(line, word)))
            || source.code().any(|line| line.contains("dbg!") || line.contains("todo!"))
    });
}

#[test]
fn output_is_written_in_one_place() {
    let prints = ["print!", "println!", "eprint!", "eprintln!"];
    assert_none("print by settings::Output", |source| {
        PROGRAMS.iter().any(|path| source.path.starts_with(path))
            && !OUTPUT_IN.iter().any(|path| source.path.starts_with(path))
            && source.code().any(|line| {
                prints.iter().any(|print| line.contains(print))
                    || ["stdout()", "stderr()"].iter().any(|stream| line.contains(stream))
            })
    });
}

#[test]
fn pem_is_read_in_one_place() {
    assert_none("rustls-pemfile", |source| {
        source.path != PEMFILE_IN && source.code().any(|line| has_word(line, "rustls_pemfile"))
    });
}

#[test]
fn agent_and_collector_never_import_each_other_nor_wire_either() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (krate, foreign) in [
        ("agent", &["collector", "testbed"][..]),
        ("collector", &["agent", "testbed"]),
        ("wire", &["agent", "collector", "settings", "testbed"]),
        ("deploy/settings", &["agent", "collector", "testbed"]),
    ] {
        let manifest = fs::read_to_string(root.join(krate).join("Cargo.toml")).unwrap();
        // End-to-end tests may use both: only built-in dependencies count.
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for name in foreign {
            let named = |line: &str| line.split(['.', ' ', '=']).next() == Some(*name);
            assert!(!dependencies.lines().any(named), "{krate} depends on {name}");
        }
    }
}

#[test]
fn imports_run_one_way() {
    let sources = sources();
    for (krate, modules) in ARROWS {
        let modules: Vec<&str> = modules.split(' ').collect();
        let rank = |module: &str| modules.iter().position(|other| *other == module);
        for source in &sources {
            let Some(path) = source.path.strip_prefix(&format!("{krate}/src/")) else { continue };
            let module = path.split(['/', '.']).next().unwrap();
            if module == "lib" {
                continue;
            }
            let own = rank(module);
            assert!(own.is_some(), "{}: give `{module}` its place in ARROWS", source.path);
            for line in source.code() {
                // `main.rs` refers to the library by the crate's name.
                for prefix in ["crate::".to_owned(), format!("{krate}::")] {
                    let named = line.split(prefix.as_str()).skip(1);
                    let names =
                        named.map(|rest| rest.split(|c: char| !code::is_name(c)).next().unwrap());
                    for imported in names.filter(|name| rank(name).is_some() && *name != module) {
                        assert!(rank(imported) > own, "{}: imports {imported}", source.path);
                    }
                }
            }
        }
    }
}

#[test]
fn files_import_one_another_in_no_circle() {
    let sources = sources();
    for krate in CRATES {
        let src = format!("{krate}/src/");
        let files: Vec<(&str, &str)> = sources
            .iter()
            .filter_map(|source| Some((source.path.strip_prefix(&src)?, source.text.as_str())))
            .collect();
        assert!(files.len() > 5, "{krate}: only {} files found", files.len());
        let name = krate.rsplit('/').next().unwrap();
        let circle = imports::circle(&imports::imports(name, &files));
        assert_eq!(circle, None, "{krate}: move what they share into a file that imports neither");
    }
}

#[test]
fn tests_wait_as_long_as_a_busy_machine_needs() {
    assert_none("wait with testbed::in_time or until, or add testbed::SLACK", |source| {
        let is_test =
            ["agent/tests/", "collector/tests/"].iter().any(|it| source.path.starts_with(it));
        is_test
            && source.code().any(|line| {
                let limit = line.contains("timeout(Duration::from_secs(")
                    || (line.contains("deadline =") && line.contains("Duration::from_secs("));
                limit && !line.contains("SLACK")
            })
    });
}

#[test]
fn libc_is_in_the_capture_and_the_generator_only() {
    assert_none("libc", |source| {
        source.in_src()
            && !LIBC_IN.iter().any(|path| source.path.starts_with(path))
            && source.code().any(|line| has_word(line, "libc"))
    });
}

#[test]
fn clocks_are_read_in_one_place_of_each_program() {
    assert_none("read the clock by agent::clocks or collector::time", |source| {
        PROGRAMS.iter().any(|path| source.path.starts_with(path))
            && !CLOCKS_IN.contains(&source.path.as_str())
            && source.code().any(|line| {
                let reads =
                    ["SystemTime::now", "Timestamp::now", "UNIX_EPOCH.elapsed", "clock_gettime"];
                reads.iter().any(|read| line.contains(read))
            })
    });
}

/// Where packets and bytes are counted one by one, in plain numbers: their types begin with the tally.
const COUNTED_IN: [&str; 3] = [
    "agent/src/account/burst.rs",
    "agent/src/capture/packet_sums.rs",
    "agent/src/capture/wire_len.rs",
];

/// The names, declared with a bare integer, of fields, parameters and variables, with their lines.
fn bare_integers<'a>(text: &str, names: &[&'a str]) -> Vec<(usize, &'a str)> {
    let (tokens, _) = code::without_tests(text);
    let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let is_bare = |kind: &[&str]| {
        let kind = kind.strip_prefix(&["Option", "<"]).unwrap_or(kind);
        let kind = kind.strip_prefix(&["["]).unwrap_or(kind);
        kind.first().is_some_and(|kind| ["u64", "i64", "i32"].contains(kind))
    };
    let found = words.iter().enumerate().filter_map(|(at, word)| {
        let name = names.iter().find(|name| *name == word)?;
        let declared = words[at + 1..].iter().take_while(|word| **word != ",");
        let declared: Vec<&str> = declared.take(6).copied().collect();
        let (colon, kind) = declared.split_first()?;
        (*colon == ":" && is_bare(kind)).then_some((tokens[at].line, *name))
    });
    found.collect()
}

#[test]
fn quantities_have_types_of_their_own() {
    let mut bare = Vec::new();
    for source in sources().iter().filter(|source| source.in_src()) {
        let exempt =
            source.path.ends_with("tests.rs") || COUNTED_IN.contains(&source.path.as_str());
        if exempt || !PROGRAMS.iter().any(|path| source.path.starts_with(path)) {
            continue;
        }
        for (kind, names) in TYPED {
            let found = bare_integers(&source.text, names).into_iter();
            bare.extend(found.map(|(line, name)| format!("{}:{line} {name}: {kind}", source.path)));
        }
    }
    assert!(bare.is_empty(), "give these their types: {bare:#?}");
}

#[test]
fn no_message_of_an_error_contains_its_cause() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.in_src()) {
        let broken = errors::with_causes(&source.text).into_iter();
        found.extend(broken.map(|(line, field)| format!("{}:{line}: {field}", source.path)));
    }
    assert!(found.is_empty(), "settings::InFull prints the cause: leave it out: {found:#?}");
}

#[test]
fn errors_become_text_with_all_their_causes() {
    assert_none("print errors by settings::InFull", |source| {
        let shortened = [
            "%error,",
            "%error)",
            "?error,",
            "?error)",
            "?failure,",
            "?failure)",
            "error.to_string()",
            "{error}",
            "{error:#}",
            "{error:?}",
        ];
        // What fuzzing measures is what people would read.
        let prints = PROGRAMS.iter().chain(&["scripts/fuzzing/src/targets/"]);
        prints.clone().any(|path| source.path.starts_with(path))
            && !source.path.starts_with("wire/")
            && source
                .code()
                .take_while(|line| !line.starts_with("mod tests"))
                .any(|line| shortened.iter().any(|way| line.contains(way)))
    });
}

/// The type that a line declares for others to use.
fn declared(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(visibility) => visibility.split_once(')')?.1,
        None => rest,
    };
    let rest = rest.strip_prefix(' ')?;
    let (keyword, rest) = rest.split_once(' ')?;
    let is_type = ["struct", "enum", "trait", "type", "union"].contains(&keyword);
    is_type.then(|| rest.split(|c: char| !code::is_name(c)).next().unwrap())
}

#[test]
fn a_name_of_a_type_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        if PROGRAMS.iter().any(|path| source.path.starts_with(path)) {
            for name in source.code().filter_map(declared) {
                places.entry(name.to_owned()).or_default().push(source.path.clone());
            }
        }
    }
    assert!(places.len() > 300, "only {} types found", places.len());
    let twice: BTreeMap<_, _> = places.into_iter().filter(|(_, places)| places.len() > 1).collect();
    let unlisted: Vec<_> =
        twice.iter().filter(|(name, _)| !TWINS.contains(&name.as_str())).collect();
    assert!(unlisted.is_empty(), "tell these apart by their names: {unlisted:#?}");
    let gone: Vec<_> = TWINS.iter().filter(|name| !twice.contains_key(**name)).collect();
    assert!(gone.is_empty(), "no twins any more: {gone:?}");
}
