//! Identity: how the agent gets and stores its certificate, and verifies the collector.

mod credentials;
mod enroll;
mod error;
mod host_key;
mod renew;
mod tls;

pub use self::credentials::Credentials;
pub use self::enroll::{Asked, EnrollError, Enrolled, enroll, hints, reachable};
pub use self::error::IdentityError;
pub use self::host_key::{boot, host_key, is_known};
pub use self::renew::renew;
