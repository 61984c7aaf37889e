//! Writes the man pages and the completions of bash, zsh and fish of both programs, by the names
//! that packages give them: `manuals FOLDER` makes `FOLDER/agent` and `FOLDER/collector`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use settings::Names;

fn main() -> io::Result<()> {
    let usage = || io::Error::other("usage: manuals FOLDER");
    let folder = PathBuf::from(env::args_os().nth(1).ok_or_else(usage)?);
    for program in [agent::cli::Cli::command(), collector::cli::Cli::command()] {
        let folder = folder.join(program.get_name());
        write(Names::Installed.in_help(program), &folder)?;
    }
    Ok(())
}

fn write(mut program: Command, folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let name = program.get_name().to_owned();
    // Before completions add `help` to the commands: it needs no pages.
    clap_mangen::generate_to(program.clone().disable_help_subcommand(true), man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program, &name, &completions)?;
    }
    Ok(())
}
