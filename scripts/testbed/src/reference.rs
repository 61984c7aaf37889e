//! Reference pages. Tests render them from the code and fail while a page differs.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command};

/// Set to rewrite the pages instead of comparing them.
const UPDATE: &str = "UPDATE_REFERENCE";

/// Compares a page with the rendered text, or rewrites it if `UPDATE_REFERENCE` is set.
///
/// # Panics
/// If they differ. The message says how to rewrite the page.
pub fn hold(path: &str, rendered: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, rendered).unwrap();
    }
    let page = std::fs::read_to_string(&file).unwrap_or_default();
    let line = page.lines().zip(rendered.lines()).position(|(page, code)| page != code);
    let line = line.unwrap_or_else(|| page.lines().count().min(rendered.lines().count()));
    assert!(
        page == rendered,
        "{path}:{} differs from the code; rewrite it by: {UPDATE}=1 cargo test -p agent -p \
         collector --test reference\npage: {:?}\ncode: {:?}",
        line + 1,
        page.lines().nth(line),
        rendered.lines().nth(line)
    );
}

/// Escapes text for a cell of a table.
#[must_use]
pub fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

/// Describes every command of a program with its arguments, and first the global options.
#[must_use]
pub fn commands(mut program: Command) -> String {
    program.build();
    let mut text = String::from("Every command has these options:\n\n");
    arguments(&mut text, program.get_arguments().filter(|it| it.is_global_set()));
    let name = program.get_name().to_owned();
    program.get_subcommands().for_each(|it| command(&mut text, &name, it));
    text
}

fn command(text: &mut String, before: &str, command: &Command) {
    if command.get_name() == "help" {
        return;
    }
    let name = format!("{before} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let inner: Vec<&Command> = command.get_subcommands().collect();
    if inner.is_empty() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace(" [OPTIONS]", "");
        put(text, format_args!("\n### `{name}`\n\n{about}.\n\nUsage: `{usage}`\n"));
        let own = command.get_arguments().filter(|it| !it.is_global_set() && it.get_id() != "help");
        let own: Vec<&Arg> = own.collect();
        if !own.is_empty() {
            text.push('\n');
            arguments(text, own);
        }
        if let Some(more) = command.get_after_help() {
            put(text, format_args!("\n```text\n{more}\n```\n"));
        }
    }
    inner.into_iter().for_each(|it| self::command(text, &name, it));
}

fn arguments<'a>(text: &mut String, arguments: impl IntoIterator<Item = &'a Arg>) {
    text.push_str("| Argument | Default | Meaning |\n|---|---|---|\n");
    for it in arguments {
        let names: Vec<String> =
            it.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
        let value = if it.get_action().takes_values() { names.join(" ") } else { String::new() };
        let flags = [
            it.get_short().map(|short| format!("-{short}")),
            it.get_long().map(|long| format!("--{long}")),
        ];
        let flags: Vec<String> = flags.into_iter().flatten().collect();
        let shown = [flags.join(", "), value].join(" ");
        let defaults: Vec<String> = it
            .get_default_values()
            .iter()
            .filter(|_| it.get_action().takes_values())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let mut help = it.get_help().map(ToString::to_string).unwrap_or_default();
        let choices: Vec<String> =
            it.get_possible_values().iter().map(|it| format!("`{}`", it.get_name())).collect();
        if it.get_action().takes_values() && !choices.is_empty() {
            put(&mut help, format_args!(": {}", choices.join(", ")));
        }
        let (shown, defaults, help) = (shown.trim(), defaults.join(" "), cell(&help));
        put(text, format_args!("| `{shown}` | {defaults} | {help} |\n"));
    }
}

/// Every key of an example config with its default and comment.
#[must_use]
pub fn keys(example: &str) -> String {
    let mut text = String::from("| Key | Default | Meaning |\n|---|---|---|\n");
    let lines: Vec<&str> = example.lines().collect();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(&line) = lines.get(at) {
        at += 1;
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            // Indented further: an example, which needs its lines.
            if !comment.starts_with("   ") {
                before.push(comment.trim());
            }
            continue;
        }
        let Some((key, rest)) = line.split_once(':') else {
            before.clear();
            continue;
        };
        let (value, comment) = match rest.split_once(" #") {
            Some((value, comment)) => (value.trim(), comment.trim()),
            None => (rest.trim(), ""),
        };
        let mut said = std::mem::take(&mut before);
        said.push(comment);
        // Continued comments are indented further than any key.
        while let Some(more) = lines.get(at)
            && let Some(comment) = more.trim().strip_prefix('#')
            && more.len() - more.trim_start().len() > indent + 4
        {
            said.push(comment.trim());
            at += 1;
        }
        path.retain(|(other, _)| *other < indent);
        path.push((indent, key));
        let name = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
        let below =
            lines[at..].iter().find(|it| !it.trim().is_empty() && !it.trim().starts_with('#'));
        let is_section = below.is_some_and(|it| it.len() - it.trim_start().len() > indent);
        let default = match value {
            _ if is_section => String::new(),
            "" => "not set".to_owned(),
            value => format!("`{value}`"),
        };
        let name = if is_section { format!("**{name}**") } else { format!("`{name}`") };
        put(&mut text, format_args!("| {name} | {default} | {} |\n", cell(&said.join(" "))));
    }
    text
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_comments_and_sections_theirs() {
        let example = "# How to use this file.\n\n# Where to.\n#   an: example\nserver:\n  port: 1    # UDP,\n             \
                       # one port\n  # Sure?\n  sure: no\n  list: []\n";
        let table = keys(example);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| **server** |  | Where to. |",
                "| `server.port` | `1` | UDP, one port |",
                "| `server.sure` | `no` | Sure? |",
                "| `server.list` | `[]` |  |",
            ]
        );
    }
}
