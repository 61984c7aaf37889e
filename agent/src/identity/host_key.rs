//! The host key: tells this host from copies and clones that have the same certificate.

use sha2::{Digest, Sha256};
use wire::id::ClientId;
use wire::message::HostKey;

use crate::clocks::BootId;

/// Where the id of this installation is (`man 5 machine-id`), the first that holds one.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The id of this boot of the kernel (`proc_sys_kernel(5)`): a new one after each power loss, the same
/// one after a virtual machine was set back or a process was killed.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The key of this host, read anew: a container may get its machine-id late.
#[must_use]
pub fn host_key(client: &ClientId) -> HostKey {
    HostKey {
        machine: digest("machine", client, MACHINE_ID.iter().find_map(read)),
        boot: digest("boot", client, read(&BOOT_ID)),
    }
}

/// This boot of the kernel.
#[must_use]
pub fn boot() -> BootId {
    let low = |digits: String| u64::from_str_radix(digits.get(16..)?, 16).ok();
    BootId(read(&BOOT_ID).and_then(low).unwrap_or_default())
}

fn read(path: &&str) -> Option<String> {
    std::fs::read_to_string(path).ok().as_deref().and_then(id)
}

/// True if this host has a machine-id.
#[must_use]
pub fn is_known(key: &HostKey) -> bool {
    key.machine != HostKey::default().machine
}

/// The 32 digits of an id. An image that gets its id at the first boot holds none, or the word
/// `uninitialized`.
fn id(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(|it| *it != '-').collect();
    let sound = digits.len() == 32
        && digits.bytes().all(|it| it.is_ascii_hexdigit())
        && digits.bytes().any(|it| it != b'0');
    sound.then(|| digits.to_ascii_lowercase())
}

/// Zero if there is no id. The id itself never leaves the host, because other programs derive
/// secrets from it.
fn digest(of: &str, client: &ClientId, id: Option<String>) -> [u8; 16] {
    let Some(id) = id else { return [0; 16] };
    let text = format!("netmon {of} {client} {id}");
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(text)[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_no_id_gives_no_key() {
        assert_eq!(id(&format!("{ID}\n")).as_deref(), Some(ID));
        let boot = id("01234567-89AB-cdef-0123-456789abcdef\n");
        assert_eq!(boot.as_deref(), Some(ID));
        for bad in ["", "\n", "uninitialized\n", "0123", &"0".repeat(32), &"x".repeat(32)] {
            assert_eq!(id(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_says_nothing_of_the_id_nor_that_two_clients_share_a_host() {
        let [one, two] = ["a", "b"].map(|id| ClientId::new(id).unwrap());
        let key = |client| digest("machine", client, Some(ID.to_owned()));
        assert_eq!(key(&one), key(&one));
        assert_ne!(key(&one), key(&two));
        assert_ne!(key(&one), digest("boot", &one, Some(ID.to_owned())));
        assert_eq!(digest("boot", &one, None), HostKey::default().boot);
    }
}
