//! A cause with its remedy.

use std::error::Error;
use std::fmt;
use std::io;

/// A cause and its remedy. In a chain of errors it stands between a message and the cause, which is
/// its source. It displays only the remedy, or nothing if none is known. Printing the chain puts the
/// remedy at the end: "message: cause; remedy".
#[derive(Debug)]
pub struct Advised {
    cause: Box<dyn Error + Send + Sync>,
    way_out: String,
}

impl Advised {
    /// A cause with its remedy.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>, way_out: impl Into<String>) -> Self {
        Self { cause: cause.into(), way_out: way_out.into() }
    }

    /// The kind of the cause, if the system said it.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.cause.downcast_ref().map(io::Error::kind)
    }

    /// The number of the cause (`errno`), if the system said it.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.downcast_ref().and_then(io::Error::raw_os_error)
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.way_out)
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advice_names_the_way_out_and_keeps_its_cause() {
        let advised = Advised::new(io::Error::from(io::ErrorKind::NotFound), "make it");
        assert_eq!(advised.to_string(), "make it");
        assert_eq!(advised.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(advised.source().is_some_and(|cause| cause.is::<io::Error>()));
        assert_eq!(Advised::new("text", "").io_kind(), None);
    }
}
