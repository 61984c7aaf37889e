//! Lets root act with another user's rights for a while.

use std::io;
use std::marker::PhantomData;

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

/// True for root, who may override a directory's owner.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// While it lives, this thread accesses files as another user (setfsuid(2)): new files belong to that
/// user, and that user's limits apply. Other threads are unaffected.
#[derive(Debug)]
pub struct Acting {
    before: Option<(Uid, Gid)>,
    /// It belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Acting {
    /// No change of user.
    pub(super) const fn as_before() -> Self {
        Self { before: None, _thread: PhantomData }
    }

    /// True if it acts as another user.
    pub(super) const fn is_another(&self) -> bool {
        self.before.is_some()
    }

    /// Acts as a user, if this process is root and the user isn't.
    pub(super) fn as_user(user: Uid, group: Gid) -> io::Result<Self> {
        let mut acting = Self::as_before();
        if is_root() && !user.is_root() {
            let group_before = setfsgid(group);
            acting.before = Some((setfsuid(user), group_before));
            // setfsuid doesn't report success, only the current value.
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
