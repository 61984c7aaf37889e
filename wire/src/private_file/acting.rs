//! Root with the rights of another user, for a while.

use std::io;
use std::marker::PhantomData;

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

/// True for root, who may do what the owner of a directory may not.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// While it lives, this thread reaches files as somebody else (setfsuid(2)): what is made belongs
/// to that user, and what that user may not do fails. Other threads go on as before.
#[derive(Debug)]
pub struct Acting {
    before: Option<(Uid, Gid)>,
    /// It is of this thread.
    _thread: PhantomData<*const ()>,
}

impl Acting {
    /// Acts as before.
    pub(super) const fn as_before() -> Self {
        Self { before: None, _thread: PhantomData }
    }

    /// True if it acts as somebody else.
    pub(super) const fn is_another(&self) -> bool {
        self.before.is_some()
    }

    /// Acts as a user if this is root, and the user isn't.
    pub(super) fn as_user(user: Uid, group: Gid) -> io::Result<Self> {
        let mut acting = Self::as_before();
        if is_root() && !user.is_root() {
            let group_before = setfsgid(group);
            acting.before = Some((setfsuid(user), group_before));
            // It doesn't tell whether it was done, but what holds.
            if setfsuid(Uid::from_raw(u32::MAX)) != user {
                let why =
                    format!("root has no right here to act as user {user}; run it as that user");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
        }
        Ok(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some((user, group)) = self.before {
            setfsuid(user);
            setfsgid(group);
        }
    }
}
