//! Values that several commands take.

use crate::time::Time;

/// A reason is one line for people.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 || text.contains('\0') {
        return Err("give a reason of 1 to 200 characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A point in time.
pub(super) fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "write 2026-11-24T12:00:00Z, or seconds since 1970".to_owned())
}
