//! Headers for the receiver, from a file: credentials belong neither into the config nor on a command
//! line.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING,
};
use settings::InFull;
use wire::permission;

/// Largest file, bytes: what receivers take of headers at most.
const SIZE_MAX: u64 = 64 << 10;

/// Headers that the request has of its own.
const OWN: [HeaderName; 6] =
    [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING];

/// A file with headers. It is read for each request, so a new token takes effect at once.
#[derive(Debug, Clone)]
pub struct HeaderFile(PathBuf);

impl HeaderFile {
    /// The file at a path.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the headers.
    ///
    /// # Errors
    /// The reason, with file, line and remedy, but never a value.
    pub fn read(&self) -> Result<HeaderMap, String> {
        let path = &self.0;
        let text = read(path).map_err(|error| {
            let way_out = permission::way_out(path, &error, "write `Name: value` lines to it");
            format!("{}: {}; {way_out}", path.display(), error.in_full())
        })?;
        text.and_then(|text| parse(&text)).map_err(|why| format!("{}{why}", path.display()))
    }
}

/// The text of the file; the inner error is about its permissions.
fn read(path: &Path) -> io::Result<Result<String, String>> {
    // Without waiting for the other end of a pipe.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    if metadata.mode() & 0o007 != 0 {
        let why =
            format!(": every user of this host can read it; run: chmod 640 {}", path.display());
        return Ok(Err(why));
    }
    if metadata.len() > SIZE_MAX {
        return Err(io::Error::other(format!("more than {SIZE_MAX} bytes")));
    }
    let mut text = String::new();
    file.take(SIZE_MAX).read_to_string(&mut text)?;
    Ok(Ok(text))
}

/// Headers, one per line. Empty lines and those with # in front don't count.
fn parse(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong =
            || format!(":{number}: no header; write for example Authorization: Bearer TOKEN");
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim_end().parse().map_err(|_| wrong())?;
        if OWN.contains(&name) {
            return Err(format!(":{number}: {name} is set by the collector; leave it out"));
        }
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    if headers.is_empty() {
        return Err(": no header; write for example Authorization: Bearer TOKEN".to_owned());
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn headers_are_read_one_per_line_and_never_shown() {
        let text = "# for the receiver\nAuthorization: Bearer a:b=\r\n\nX-Scope-OrgID:net\n";
        let headers = parse(text).unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b=");
        assert_eq!(headers["x-scope-orgid"], "net");
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    #[test]
    fn a_line_that_is_no_header_is_named_without_its_text() {
        for (text, place) in [
            ("A: b\nhunter2", ":2:"),
            ("hunter 2: x", ":1:"),
            ("A: hunter2\u{7f}", ":1:"),
            ("Content-Type: hunter2", ":1: content-type"),
            ("# hunter2\n", ": no header"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(place) && !why.contains("hunter"), "{text}: {why}");
        }
    }

    #[test]
    fn a_file_that_everybody_can_read_is_refused_with_the_way_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "Authorization: Bearer hunter2\n").unwrap();
        let mode =
            |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let headers = HeaderFile::new(file.path().to_owned());
        mode(0o640);
        assert_eq!(headers.read().unwrap().len(), 1);
        mode(0o644);
        let why = headers.read().unwrap_err();
        assert!(why.ends_with(&format!("chmod 640 {}", file.path().display())), "{why}");
        assert!(!why.contains("hunter2"));
        fs::write(file.path(), vec![b'a'; 70_000]).unwrap();
        mode(0o600);
        assert!(headers.read().unwrap_err().contains("more than"));
    }
}
