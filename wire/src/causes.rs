//! Errors and their causes.

use std::error::Error;
use std::fmt;

use crate::advice::Advised;

/// An error and its causes, outermost first.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// An error with all its causes in one line: "message: cause: cause; way out". No message contains
/// its cause, so each is printed once.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (advised, messages): (Vec<_>, Vec<_>) =
            causes(self.0).partition(|error| error.is::<Advised>());
        let texts = |errors: Vec<&dyn Error>| {
            let texts =
                errors.into_iter().map(ToString::to_string).map(|text| text.replace('\n', " "));
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>()
        };
        f.write_str(&texts(messages).join(": "))?;
        // The way out that is nearest to the cause comes first.
        texts(advised).iter().rev().try_for_each(|way_out| write!(f, "; {way_out}"))
    }
}

/// The one way in which an error becomes text for people.
pub trait InFull {
    /// The error with all its causes.
    fn in_full(&self) -> Chain<'_>;
}

impl<E: Error + 'static> InFull for E {
    fn in_full(&self) -> Chain<'_> {
        Chain(self)
    }
}

impl InFull for dyn Error + 'static {
    fn in_full(&self) -> Chain<'_> {
        Chain(self)
    }
}

impl InFull for dyn Error + Send + Sync + 'static {
    fn in_full(&self) -> Chain<'_> {
        Chain(self)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't start")]
    struct Start(#[source] Advised);

    #[derive(Debug, thiserror::Error)]
    #[error("can't open the spool")]
    struct Open(#[source] Advised);

    #[test]
    fn causes_follow_their_message_and_ways_out_come_last() {
        let open = Open(Advised::new(io::Error::other("in\nuse"), "stop the other one"));
        let said = "can't open the spool: in use; stop the other one";
        assert_eq!(open.in_full().to_string(), said);
        let start = Start(Advised::new(open, "or set data_dir"));
        assert_eq!(start.in_full().to_string(), format!("can't start: {said}; or set data_dir"));
    }

    #[test]
    fn a_way_out_that_is_not_known_leaves_nothing() {
        let open = Open(Advised::new(io::Error::other("in use"), ""));
        assert_eq!(open.in_full().to_string(), "can't open the spool: in use");
    }

    #[test]
    fn a_cause_that_says_the_same_as_its_message_is_kept() {
        let outer = Start(Advised::new("can't start", ""));
        assert_eq!(outer.in_full().to_string(), "can't start: can't start");
    }
}
