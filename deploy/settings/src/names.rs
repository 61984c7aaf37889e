//! What the programs are called. Cargo builds `agent` and `collector`, which are too general for
//! `/usr/bin`: packages install them as `netmon-agent` and `netmon-collector`. Texts name commands
//! as cargo builds them (`agent enroll TOKEN`); on their way to people they get the name by which
//! the program that shows them was started, so that what it recommends can be typed on its host.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use clap::Command;

/// A program, and the words that follow its name where a text names a command: its subcommands,
/// which a test of each program holds complete, and `...` for any of them.
struct Program {
    built: &'static str,
    installed: &'static str,
    words: &'static [&'static str],
}

const PROGRAMS: [Program; 2] = [
    Program {
        built: "agent",
        installed: "netmon-agent",
        words: &["run", "enroll", "watch", "top", "nics", "doctor", "check-config", "..."],
    },
    Program {
        built: "collector",
        installed: "netmon-collector",
        words: &[
            "run",
            "top",
            "token",
            "tokens",
            "clients",
            "revoke",
            "ca",
            "forget",
            "migrate",
            "export",
            "import",
            "doctor",
            "fsck",
            "backup",
            "tag",
            "bill",
            "silence",
            "sql",
            "check-config",
            "...",
        ],
    },
];

/// By which names both programs are known where this one runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As cargo builds them: `agent`, `collector`.
    Built,
    /// As packages install them: `netmon-agent`, `netmon-collector`.
    Installed,
}

impl Names {
    /// By the name with which this process was started.
    #[must_use]
    pub fn here() -> Self {
        static HERE: LazyLock<Names> =
            LazyLock::new(|| Names::of(env::args_os().next().as_deref()));
        *HERE
    }

    /// By the first word of a command line: a path or a name. Any name but a package's is taken
    /// for cargo's, since nobody knows what the other program is called then.
    fn of(started_as: Option<&OsStr>) -> Self {
        let name = started_as.and_then(|it| Path::new(it).file_name()?.to_str());
        let installed = |name| PROGRAMS.iter().any(|it| it.installed == name);
        if name.is_some_and(installed) { Self::Installed } else { Self::Built }
    }

    /// The name of a program that cargo builds as `built`.
    #[must_use]
    pub fn program(self, built: &str) -> &str {
        match PROGRAMS.iter().find(|it| it.built == built) {
            Some(program) if self == Self::Installed => program.installed,
            _ => built,
        }
    }

    /// A text with the commands in it as they are typed here.
    #[must_use]
    pub fn in_text(self, text: &str) -> Cow<'_, str> {
        let mut named = String::new();
        let mut done = 0;
        if self == Self::Installed {
            for (at, program) in commands(text) {
                named += &text[done..at];
                named += program.installed;
                done = at + program.built.len();
            }
        }
        if done == 0 { Cow::Borrowed(text) } else { Cow::Owned(named + &text[done..]) }
    }

    /// A command line's definition with its name and the commands in its help as they are typed
    /// here.
    #[must_use]
    pub fn in_help(self, command: Command) -> Command {
        match PROGRAMS.iter().find(|it| it.built == command.get_name()) {
            Some(program) if self == Self::Installed => {
                self.in_help_of(command.name(program.installed).bin_name(program.installed))
            }
            _ => command,
        }
    }

    fn in_help_of(self, mut command: Command) -> Command {
        let named = |text: &dyn ToString| self.in_text(&text.to_string()).into_owned();
        if let Some(text) = command.get_about().map(|it| named(it)) {
            command = command.about(text);
        }
        if let Some(text) = command.get_after_help().map(|it| named(it)) {
            command = command.after_help(text);
        }
        command
            .mut_args(|arg| match arg.get_help().map(|it| named(it)) {
                Some(text) => arg.help(text),
                None => arg,
            })
            .mut_subcommands(|it| self.in_help_of(it))
    }
}

/// Where a text names commands, in their order, and of which programs.
fn commands(text: &str) -> impl Iterator<Item = (usize, &'static Program)> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.char_indices().filter_map(move |(at, _)| {
        let (rest, program) = PROGRAMS.iter().find_map(|program| {
            Some((text[at..].strip_prefix(program.built)?.strip_prefix(' ')?, program))
        })?;
        let word = rest.split(|c: char| !in_name(c)).next().unwrap_or_default();
        // A sentence may end with it.
        let named = [word, word.trim_end_matches('.')].iter().any(|it| program.words.contains(it));
        (named && !text[..at].ends_with(in_name)).then_some((at, program))
    })
}

/// Whether a text that names a subcommand of a program gets its name.
#[must_use]
pub fn is_known_command(program: &str, subcommand: &str) -> bool {
    PROGRAMS.iter().any(|it| it.built == program && it.words.contains(&subcommand))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_the_file_name_it_was_started_by() {
        let of = |name: &str| Names::of(Some(OsStr::new(name)));
        assert_eq!(of("/usr/bin/netmon-agent"), Names::Installed);
        assert_eq!(of("netmon-collector"), Names::Installed);
        for other in ["agent", "target/debug/collector", "netmon-agent-2", "/netmon-agent/x", ""] {
            assert_eq!(of(other), Names::Built, "{other}");
        }
        assert_eq!(Names::of(None), Names::Built);
    }

    #[test]
    fn texts_name_commands_as_they_are_typed_here() {
        let named = |text: &str| Names::Installed.in_text(text).into_owned();
        for (text, installed) in [
            ("agent enroll TOKEN", "netmon-agent enroll TOKEN"),
            (
                "get a token by `collector token --client a`, then run: agent enroll TOKEN",
                "get a token by `netmon-collector token --client a`, then run: netmon-agent enroll TOKEN",
            ),
            (
                "run: sudo -u network-monitor-collector collector ...",
                "run: sudo -u network-monitor-collector netmon-collector ...",
            ),
            ("see agent doctor.", "see netmon-agent doctor."),
        ] {
            assert_eq!(named(text), installed);
            assert_eq!(named(installed), installed, "named twice");
            assert_eq!(Names::Built.in_text(text), text);
        }
    }

    #[test]
    fn prose_paths_units_and_names_of_others_stay() {
        for text in [
            "the agent runs; the collector tokenises",
            "systemctl restart network-monitor-agent; the agent",
            "/etc/network-monitor/agent run.yaml",
            "ssh-agent run",
            "agent  run, agents run, agent",
            "ünagent run",
            "",
        ] {
            assert_eq!(Names::Installed.in_text(text), text);
        }
    }

    #[test]
    fn help_names_commands_as_they_are_typed_here_at_every_depth() {
        let made = || {
            let run = Command::new("run").about("What `agent run` does");
            let arg = clap::Arg::new("nic").help("as `agent nics` lists it");
            let run = run.arg(arg).after_help("Example: agent run -c FILE");
            Command::new("agent").after_help("Example: agent watch").subcommand(run)
        };
        let help = |names: Names, line: &[&str]| {
            let command = names.in_help(made());
            command.try_get_matches_from(line).unwrap_err().to_string()
        };
        let top = help(Names::Installed, &["whatever", "--help"]);
        assert!(top.contains("Usage: netmon-agent ["), "{top}");
        assert!(top.contains("Example: netmon-agent watch"), "{top}");
        let run = help(Names::Installed, &["whatever", "run", "--help"]);
        for text in ["What `netmon-agent run`", "Usage: netmon-agent run", "as `netmon-agent nics`"]
        {
            assert!(run.contains(text), "{run}");
        }
        assert!(run.contains("Example: netmon-agent run -c FILE"), "{run}");
        assert!(help(Names::Built, &["agent", "--help"]).contains("Example: agent watch"));
    }
}
