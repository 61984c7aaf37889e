//! Programs on their own terminal (tmux), as people see and use them.

use std::path::PathBuf;
use std::process::Command;

use crate::patience::wait_until;
use crate::picture::svg;
use crate::shell::run;

/// Folder for pictures of screens and pages, if they are wanted.
#[must_use]
pub fn pictures() -> Option<PathBuf> {
    std::env::var_os("NETMON_TEST_PICTURES").map(PathBuf::from)
}

/// A terminal that runs a program.
#[derive(Debug)]
pub struct Terminal {
    /// Socket of tmux.
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Terminal {
    /// Starts a program on a terminal of this size. When the program ends, the terminal stays and shows
    /// its exit code.
    #[must_use]
    pub fn start(program: &Command, columns: u16, lines: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let terminal = Self { socket: dir.path().join("tmux"), _dir: dir };
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let ended = "echo ended with $?; exec sleep infinity";
        let size = [columns.to_string(), lines.to_string()];
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "-u", "new-session", "-d"]);
        tmux.args(["-x", &size[0], "-y", &size[1], &format!("{}; {ended}", words.join(" "))]);
        for (name, value) in program.get_envs() {
            tmux.env(name, value.unwrap_or_default());
        }
        let _nothing = run(&mut tmux, "tmux (Debian's package tmux is needed)");
        terminal
    }

    /// The text on the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        run(&mut self.tmux(&["capture-pane", "-p"]), "tmux capture-pane")
    }

    /// Waits until a text is on the screen.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |screen| screen.contains(text));
    }

    /// Waits until the screen meets a condition.
    pub fn wait_until(&self, what: &str, mut wanted: impl FnMut(&str) -> bool) {
        wait_until(what, || wanted(&self.screen()));
    }

    /// Presses keys, by tmux's names: `q`, `Enter`, `Down`, `C-c`.
    pub fn press(&self, keys: &[&str]) {
        let _nothing = run(self.tmux(&["send-keys"]).args(keys), "tmux send-keys");
    }

    /// Resizes the terminal.
    pub fn resize(&self, columns: u16, lines: u16) {
        let size = [columns.to_string(), lines.to_string()];
        let args = ["resize-window", "-x", &size[0], "-y", &size[1]];
        let _nothing = run(&mut self.tmux(&args), "tmux resize-window");
    }

    /// Saves a picture of the screen if pictures are wanted.
    pub fn picture(&self, name: &str) {
        let Some(folder) = pictures() else { return };
        let screen = run(&mut self.tmux(&["capture-pane", "-p", "-e", "-N"]), "tmux capture-pane");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.svg")), svg(&screen)).unwrap();
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(args);
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(screen) = self.tmux(&["capture-pane", "-p"]).output()
        {
            eprintln!("on the screen:\n{}", String::from_utf8_lossy(&screen.stdout));
        }
        let _gone = self.tmux(&["kill-server"]).output();
    }
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
