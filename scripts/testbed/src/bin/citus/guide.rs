//! Follows `deploy/citus/README.md` word for word on fresh nodes. The fence of each code block says
//! where the block goes; the prose tells it to readers of the rendered page.

use std::fmt::Write as _;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use clap::Args;
use testbed::pair::{End, join};
use testbed::{Namespace, citus, program, sh};

use crate::feed::Feed;

/// Options of the guide.
#[derive(Debug, Args)]
pub struct Options {
    /// The guide
    #[arg(default_value = "deploy/citus/README.md")]
    file: PathBuf,
}

/// The nodes of the guide; the first is the coordinator. Their addresses are 10.0.N.2.
const NODES: [&str; 3] = ["db-0.example.org", "db-1.example.org", "db-2.example.org"];

/// The user that servers run as.
const NOBODY: u32 = 65534;
const AS_NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";

/// How long agents deliver.
const DELIVER: Duration = Duration::from_secs(5);

/// A block of the guide.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// The words after the fence, such as "sql on the coordinator".
    what: String,
    text: String,
}

/// All blocks that name their place.
fn blocks(guide: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in guide.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)) {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(what) if what.contains(" on ") => {
                inside = true;
                blocks.push(Block { what: what.to_owned(), text: String::new() });
            }
            None if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text += line;
                    block.text.push('\n');
                }
            }
            _ => {}
        }
    }
    blocks
}

/// A host with a freshly made server.
#[derive(Debug)]
struct Node {
    space: Namespace,
    directory: PathBuf,
    programs: PathBuf,
}

impl Node {
    fn new(number: u8, under: &Path, programs: &Path) -> Self {
        let (space, directory) = (Namespace::new(), under.join(format!("db-{number}")));
        let (dev, net) = (format!("db{number}"), format!("10.0.{number}"));
        join(
            End { space: &Namespace::own(), dev: &dev, net: &net, host: 1 },
            End { space: &space, dev: "eth0", net: &net, host: 2 },
        );
        space.sh(&format!("ip route add default via {net}.1"));
        std::fs::create_dir(&directory).expect("the directory is new");
        chown(&directory, Some(NOBODY), Some(NOBODY)).expect("root may");
        let node = Self { space, directory, programs: programs.to_owned() };
        // As Debian does: peer authentication locally, passwords for others.
        node.sh(
            "initdb -D DIR/data -U postgres --auth-local=trust --auth-host=scram-sha-256 -E UTF8",
        );
        node
    }

    /// Runs a program of PostgreSQL as its user; `DIR` is the node's directory.
    fn sh(&self, command: &str) -> String {
        let directory = self.directory.display().to_string();
        let programs = self.programs.display();
        self.space.sh(&format!(
            "cd / && {AS_NOBODY} env HOME=/tmp LC_ALL=C {programs}/{}",
            command.replace("DIR", &directory)
        ))
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.directory.join("data").join(file);
        let mut whole = std::fs::read_to_string(&path).expect("initdb made it");
        write!(whole, "\n{text}").expect("text can be written");
        std::fs::write(&path, whole).expect("root may");
    }

    fn start(&self) {
        self.append(
            "postgresql.conf",
            &format!("unix_socket_directories = '{}'", self.directory.display()),
        );
        self.sh("pg_ctl -D DIR/data -l DIR/log -w start");
    }

    /// Runs SQL as the superuser, as `psql` on the node does.
    fn psql(&self, text: &str) -> Result<String, String> {
        let file = self.directory.join("block.sql");
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let mut command = self.space.command(self.programs.join("psql"));
        command.args(["-X", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-h"]);
        command.arg(&self.directory).arg("-f").arg(&file);
        succeeded(command.output())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let directory = self.directory.display();
        let programs = self.programs.display();
        let _ended = sh(&format!(
            "{AS_NOBODY} {programs}/pg_ctl -D {directory}/data -m immediate stop || true"
        ));
    }
}

fn succeeded(output: std::io::Result<Output>) -> Result<String, String> {
    let Output { status, stdout, stderr } = output.map_err(|error| error.to_string())?;
    let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if status.success() { Ok(text) } else { Err(text) }
}

/// Follows the guide; true if it leads to a store that works.
#[must_use]
pub fn run(options: &Options) -> bool {
    match follow(&options.file) {
        Ok(text) => {
            println!("{}: followed word for word: {text}", options.file.display());
            true
        }
        Err(why) => {
            println!("{}: VIOLATION: {why}", options.file.display());
            false
        }
    }
}

fn follow(file: &Path) -> Result<String, String> {
    let guide = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let blocks = blocks(&guide);
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    sh(&format!("chmod 755 {}", directory.path().display()));
    let programs = citus::programs().ok_or("no installation")?;
    let nodes: Vec<Node> = (0..)
        .zip(NODES)
        .map(|(number, _)| Node::new(number, directory.path(), &programs))
        .collect();
    sh("sysctl -qw net.ipv4.ip_forward=1");
    name_nodes(directory.path());
    let mut started = false;
    for block in &blocks {
        let Block { what, text } = block;
        let failed = |why: String| format!("{what}:\n{text}\n{why}");
        let file = what.split(' ').nth(1).unwrap_or_default();
        if !started && !file.ends_with(".conf") {
            nodes.iter().for_each(Node::start);
            started = true;
        }
        match what.as_str() {
            "ini postgresql.conf on every node" | "ini pg_hba.conf on every node" => {
                if started {
                    return Err(failed("comes after the server's start".to_owned()));
                }
                nodes.iter().for_each(|node| node.append(file, text));
            }
            "sql on every node" => {
                for node in &nodes {
                    node.psql(text).map_err(failed)?;
                }
            }
            "sql on the coordinator" => {
                nodes[0].psql(text).map_err(failed)?;
            }
            "sh on a collector" => {
                on_collector(text, directory.path()).map_err(failed)?;
            }
            _ => return Err(failed("unknown place".to_owned())),
        }
    }
    if !started {
        return Err("no block of SQL".to_owned());
    }
    proven(&nodes[0], &blocks, directory.path())
        .map(|text| format!("{} blocks, {text}", blocks.len()))
}

/// Makes host names resolve, as a name server would. Only for this process, which has its own mounts.
fn name_nodes(directory: &Path) {
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for (number, name) in NODES.iter().enumerate() {
        let _written = writeln!(hosts, "10.0.{number}.2 {name}");
    }
    let file = directory.join("hosts");
    std::fs::write(&file, hosts).expect("the directory is writable");
    sh(&format!("chmod 644 {0} && mount --bind {0} /etc/hosts", file.display()));
}

fn on_collector(text: &str, directory: &Path) -> Result<String, String> {
    // As packages name it.
    let programs = directory.join("bin");
    std::fs::create_dir_all(&programs).map_err(|error| error.to_string())?;
    let installed = programs.join("netmon-collector");
    if !installed.exists() {
        symlink(program("collector"), &installed).map_err(|error| error.to_string())?;
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euc", text]).env("PATH", path);
    command.env("NETMON_COLLECTOR_DATA_DIR", directory.join("collector"));
    succeeded(command.output())
}

/// Checks that the collector's database works for the role in the guide.
fn proven(coordinator: &Node, blocks: &[Block], directory: &Path) -> Result<String, String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    let export = "export NETMON_COLLECTOR_DATABASE__URL=";
    let urls = blocks.iter().flat_map(|block| block.text.lines());
    let url = urls.filter_map(|line| line.strip_prefix(export)).next();
    let url = url.ok_or("no URL for the collector")?.trim_matches('\'');
    let mut feed = Feed::new(url).map_err(text)?;
    feed.start();
    std::thread::sleep(DELIVER);
    feed.stop().map_err(text)?;
    let rows: u64 = feed.delivered().map(|(_, it)| it.rows).sum();
    let found =
        coordinator.psql("\\connect netmon\nSELECT 'rows: ' || count(*) FROM bandwidth_stats")?;
    if !found.contains(&format!("rows: {rows}\n")) {
        return Err(format!("{rows} rows delivered: {found}"));
    }
    on_collector(&format!("{export}'{url}'\nnetmon-collector fsck"), directory)?;
    Ok(format!("the guide's role committed {rows} rows; counts exact, fsck sound"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_what_it_is_and_where_it_goes() {
        let guide = "text\n   ```sql on every node\n   SELECT 1;\n     -- two\n   ```\n```\nsaid\n```\n\
                     ```sh on a collector\ntrue\n```\n";
        let block = |what: &str, text: &str| Block { what: what.to_owned(), text: text.to_owned() };
        let expected = [
            block("sql on every node", "SELECT 1;\n  -- two\n"),
            block("sh on a collector", "true\n"),
        ];
        assert_eq!(blocks(guide), expected);
    }
}
