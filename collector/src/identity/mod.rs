//! Identity: the collector's own CA or the operator's PKI, certificates for agents, and the
//! identification of connections.
//!
//! The directory holds `ca.key` (the complete CA) and its public copy `ca.pem`, `server.pem`,
//! `reset.key`, and the small JSON files `tokens/<digest of the secret>`, `issued/<client>` and
//! `revoked/<client>`. Other processes may use it at the same time, so changes of more than one file
//! hold `lock`.

mod admit;
mod ca;
mod clients;
mod endpoint;
mod enroll;
mod error;
mod exchange;
mod issue;
mod own;
mod peer;
mod record;
mod refusal;
mod revocations;
mod revoke;
mod stamp;
mod standing;
mod taking;
mod token;

pub use self::admit::on_handshake_error;
pub use self::ca::Rolled;
pub use self::clients::{ClientRecords, KnownClient};
pub use self::error::IdentityError;
pub use self::issue::{Cas, Renewed};
pub use self::own::Identity;
pub use self::peer::{Agent, CLOSE_REFUSED, Peer, PeerError, Signed, peer, protocol};
pub use self::record::{Issued, Revocation};
pub use self::refusal::EnrollError;
pub use self::standing::Standing;
pub use self::taking::{ClientIds, EnrolmentStore};
pub use self::token::{
    ClientGlob, NewToken, OpenToken, OpenTokens, TokenUse, TokenUses, USES_MAX, UsesError,
};
