//! Checks of what each command does when its output can't be written.

use std::process::Output;

/// Fails unless each command of a program is tested here or known to be tested elsewhere.
///
/// # Panics
/// Names the missing command.
pub fn assert_all_tried<'a>(
    program: &str,
    commands: impl IntoIterator<Item = &'a str>,
    tried: &[&[&str]],
    elsewhere: &[&str],
) {
    for name in commands {
        let known = tried.iter().any(|args| args[0] == name) || elsewhere.contains(&name);
        assert!(known, "`{program} {name}` prints: add it to COMMANDS");
    }
}

/// Fails unless a closed pipe ended the command quietly, as SIGPIPE does.
///
/// # Panics
/// Shows the output.
pub fn assert_ended_quietly(args: &[&str], output: &Output) {
    assert_eq!(output.status.code(), Some(141), "{args:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
}

/// Fails unless a full disk was reported as an error of one line.
///
/// # Panics
/// Shows the output.
pub fn assert_told_of_full_disk(program: &str, args: &[&str], output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    let why = String::from_utf8_lossy(&output.stderr);
    let expected =
        format!("{program}: can't write to the standard output: No space left on device");
    assert!(why.starts_with(&expected) && why.lines().count() == 1, "{args:?}: {why}");
}
