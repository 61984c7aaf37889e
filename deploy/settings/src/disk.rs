//! Space on disks.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;

/// Free space on the disk of a file or directory, bytes, without what is reserved for root
/// (`f_bavail` times `f_frsize`, statvfs(3)).
///
/// # Errors
/// The kernel's, if the path doesn't exist or can't be reached.
pub fn free_space(path: &Path) -> Result<u64, Errno> {
    statvfs(path).map(|found| found.blocks_available() * found.fragment_size())
}
