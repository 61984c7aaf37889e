//! Sizes, and a folder for files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// A directory of this process for decoders that read files. The caller sets `TMPDIR` to a place in
/// memory and removes it afterwards.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Writes a file that only its owner can read, replacing the one before.
pub fn file(path: PathBuf, input: &[u8]) -> PathBuf {
    fs::write(&path, input).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}
