//! Files with secrets of the config. They are read for each use, so that a new secret counts at once.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use settings::InFull;
use wire::permission;

/// Largest file, bytes: what servers take of headers at most.
const SIZE_MAX: u64 = 64 << 10;

/// The text of a file.
///
/// # Errors
/// The reason, with the file and the way out, `way_out` if there is no better, but never its text.
pub fn read(path: &Path, way_out: &str) -> Result<String, String> {
    let text = text(path).map_err(|error| {
        let way_out = permission::way_out(path, &error, way_out);
        format!("{}: {}; {way_out}", path.display(), error.in_full())
    })?;
    text.map_err(|why| format!("{}: {why}", path.display()))
}

/// The first line of a file, with all its spaces: a password may have some.
///
/// # Errors
/// As [`read`], or that it is empty.
pub fn first_line(path: &Path, way_out: &str) -> Result<String, String> {
    let text = read(path, way_out)?;
    let line = text.lines().next().unwrap_or_default();
    if line.trim().is_empty() {
        return Err(format!("{}: its first line is empty; {way_out}", path.display()));
    }
    Ok(line.to_owned())
}

/// The text; the inner error is about the file's permissions.
fn text(path: &Path) -> io::Result<Result<String, String>> {
    // Without waiting for the other end of a pipe.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    if metadata.mode() & 0o007 != 0 {
        let path = path.display();
        return Ok(Err(format!("every user of this host can read it; run: chmod 640 {path}")));
    }
    if metadata.len() > SIZE_MAX {
        return Err(io::Error::other(format!("more than {SIZE_MAX} bytes")));
    }
    let mut text = String::new();
    file.take(SIZE_MAX).read_to_string(&mut text)?;
    Ok(Ok(text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use super::*;

    fn with(text: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_first_line_is_the_secret() {
        let file = with(b" hunter2 \r\nmore\n", 0o640);
        assert_eq!(first_line(file.path(), "write it").unwrap(), " hunter2 ");
    }

    #[test]
    fn what_can_not_be_used_is_named_with_the_way_out_and_without_its_text() {
        for (file, why) in [
            (with(b"hunter2", 0o644), "every user of this host can read it; run: chmod 640 /"),
            (with(&vec![b'a'; 70_000], 0o600), "more than 65536 bytes; write it"),
            (with(b"\nhunter2", 0o600), "its first line is empty; write it"),
            (with(b"hunter2\xff", 0o600), "; write it"),
        ] {
            let error = first_line(file.path(), "write it").unwrap_err();
            let path = file.path().display().to_string();
            assert!(error.starts_with(&path) && error.contains(why), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_pipe_without_a_writer_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let begin = Instant::now();
        assert!(read(&pipe, "write it").unwrap_err().contains("not a file"));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
