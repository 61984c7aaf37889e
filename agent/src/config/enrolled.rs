//! The collector's address from enrolment: a file in the data directory that overrides only the
//! defaults, so that an enrolled host needs no config.

use std::io;
use std::path::{Path, PathBuf};

use settings::{ConfigError, Given};
use wire::private_file::{self, FileError};

use crate::connection;

/// The keys that the file may have.
const KEYS: [&str; 3] = ["server.host", "server.port", "server.fallbacks"];

/// The file in a data directory.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("enrolled.yaml")
}

/// Reads the file. Empty if it doesn't exist.
///
/// # Errors
/// The file can't be read, or is not a config file.
pub(super) fn read(path: &Path) -> Result<Vec<Given>, ConfigError> {
    let unreadable = |error| ConfigError::unreadable(path.display().to_string(), error);
    let text = match private_file::read_public(path) {
        Ok(bytes) => {
            String::from_utf8(bytes).map_err(|error| unreadable(io::Error::other(error)))?
        }
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(FileError::Read { path, error }) => {
            return Err(ConfigError::Unreadable { file: path.display().to_string(), error });
        }
        Err(error) => return Err(unreadable(io::Error::other(error))),
    };
    let mut texts = settings::texts(path, &text)?;
    let given = |key: &'static str| {
        let origin = path.display().to_string().into();
        texts.remove(key).map(|value| Given { origin, key, value })
    };
    Ok(KEYS.into_iter().filter_map(given).collect())
}

/// Writes the file: the collector, and further addresses to try if it can't be reached.
///
/// # Errors
/// [`FileError`] names the file.
pub fn write(
    data_dir: &Path,
    server: &connection::Server,
    fallbacks: &[connection::Server],
) -> Result<(), FileError> {
    private_file::write_public(&path(data_dir), text(server, fallbacks).as_bytes())
}

fn text(server: &connection::Server, fallbacks: &[connection::Server]) -> String {
    let connection::Server { host, port } = server;
    let fallbacks: Vec<_> = fallbacks.iter().map(|it| format!("\"{it}\"")).collect();
    format!(
        "# Where `agent enroll` found the collector. A server.host that is set elsewhere takes the \
         place of all this.\n\
         server:\n  host: \"{host}\"\n  port: {port}\n  fallbacks: [{}]\n",
        fallbacks.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16) -> connection::Server {
        connection::Server { host: host.to_owned(), port }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = path(directory.path());
        let fallbacks = [server("monitor", 8082), server("2001:db8::2", 9000)];
        write(directory.path(), &server("2001:db8::1", 9000), &fallbacks).unwrap();
        let given = read(&file).unwrap();
        let values: Vec<_> = given.iter().map(|it| (it.key, it.value.as_str())).collect();
        let expected = [
            ("server.host", "2001:db8::1"),
            ("server.port", "9000"),
            ("server.fallbacks", "monitor:8082,[2001:db8::2]:9000"),
        ];
        assert_eq!(values, expected);
        assert!(given.iter().all(|it| it.origin == file.display().to_string()));
    }

    #[test]
    fn no_file_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(&path(directory.path())).unwrap().is_empty());
    }
}
