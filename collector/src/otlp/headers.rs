//! Headers for the receiver, from a file: credentials belong neither into the config nor on a command
//! line.

use std::path::PathBuf;

use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING,
};

use crate::secret_file;

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
        let text = secret_file::read(path, "write `Name: value` lines to it")?;
        parse(&text).map_err(|why| format!("{}{why}", path.display()))
    }
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
    use std::fs;
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
    }
}
