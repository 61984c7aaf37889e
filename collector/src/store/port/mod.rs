//! What every engine of the store must do, as traits, and how it says that it could not.

pub mod check;
pub mod claims;
pub mod error;
pub mod excess;
pub mod export;
pub mod read;
pub mod register;
pub mod retain;
pub mod schema;
pub mod sign_outs;
pub mod write;
