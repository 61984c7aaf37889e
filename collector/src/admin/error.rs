//! Why a command failed.

use std::io;

use wire::id::ClientId;

use crate::accounts::{AccountName, BillError, CycleName};
use crate::audit::AuditError;
use crate::backup::BackupError;
use crate::export::ExportError;
use crate::identity::IdentityError;
use crate::import::ImportError;
use crate::sql::AskError;
use crate::store_location::StoreLocationError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The certificates are unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store is unusable.
    #[error(transparent)]
    StoreLocation(#[from] StoreLocationError),
    /// The system provides no runtime.
    #[error("can't start")]
    System(#[from] io::Error),
    /// Rows could not be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// There is no backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A store could not be moved.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// SQL has no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There is no statement.
    #[error(transparent)]
    Bill(#[from] BillError),
    /// Nothing changes a frozen cycle.
    #[error("cycle {0} is frozen: its opening balance can't change any more")]
    FrozenCycle(CycleName),
    /// The config has no such account.
    #[error("no account is named {account}; the config has {known}")]
    NoSuchAccount {
        /// The name.
        account: AccountName,
        /// Those that there are.
        known: String,
    },
    /// The config has no such rule.
    #[error("no rule of alerts is named {rule}; the config has {known}")]
    NoSuchRule {
        /// The name.
        rule: String,
        /// Those that there are.
        known: String,
    },
    /// It is no silence.
    #[error("no silence was added: {0}")]
    Silence(String),
    /// No such silence, or several.
    #[error(
        "no silence, or more than one, has an id that begins with {0}; `collector silence list` \
         lists them"
    )]
    NoSuchSilence(String),
    /// Other collectors of the store don't know this revocation yet.
    #[error("{0}")]
    RevokedHere(String),
    /// The client was not found.
    #[error("no client {0} is known here; `collector clients` lists them")]
    NoSuchClient(ClientId),
    /// No such token.
    #[error("no open token is named {0}; `collector tokens` lists them by their ids")]
    NoSuchToken(String),
    /// A token for a client that exists already.
    #[error(
        "client {0} is there already; for another host choose another id, or let it take the \
         place of {0}: collector token --client {0} --replace"
    )]
    ClientExists(ClientId),
    /// Confirmation is needed, and there is no terminal.
    #[error(
        "nothing was changed; to forget {0}, give --yes, or run this on a terminal and confirm"
    )]
    Unconfirmed(ClientId),
    /// It was done, but the audit log could not be written.
    #[error("{done}, but it is not in the audit log")]
    Unaudited {
        /// What was done.
        done: String,
        /// Why not.
        #[source]
        error: AuditError,
    },
    /// The schema is not up to date.
    #[error("the schema needs a migration; run `collector migrate`, or start the collector")]
    Outdated,
    /// The store is not sound.
    #[error("{0} findings: the store doesn't hold what agents counted; see above")]
    Unsound(usize),
}
