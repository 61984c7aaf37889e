//! The standard output and standard error. Only logs and full screens bypass it. If the reader is gone,
//! the program ends as if by SIGPIPE. Any other write error is an error of the program, even if the
//! caller ignored it.

use std::error::Error;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use wire::causes::causes;

use crate::foreign::{Excerpt, Foreign, escape_lines};
use crate::names::Names;

/// Size of the buffer, bytes.
const BUFFER: usize = 1 << 16;

/// Wait before retrying a slow non-blocking output.
const BUSY: Duration = Duration::from_millis(5);

/// The standard output of a command. Makes everything visible but lines and tabs (see [`Foreign`]), so
/// that no name can control a terminal. Keeps the first error, which decides the exit code.
pub struct Output {
    out: Box<dyn Write>,
    /// Buffered bytes.
    buffer: Vec<u8>,
    failure: Option<io::Error>,
}

impl Output {
    /// The standard output.
    #[must_use]
    pub(crate) fn standard() -> Self {
        Self::new(io::stdout())
    }

    /// Any output.
    fn new(out: impl Write + 'static) -> Self {
        Self { out: Box::new(out), buffer: Vec::new(), failure: None }
    }

    /// Prints a line at once, commands in it as they are typed here. On an error work continues; the
    /// program's end reports it.
    pub fn say(&mut self, line: &str) {
        let line = Names::here().in_text(line);
        let _remembered = writeln!(self, "{line}").and_then(|()| self.flush());
    }

    /// The same output without escaping, for programs that read it.
    pub const fn raw(&mut self) -> Raw<'_> {
        Raw(self)
    }

    /// Writes the buffer, and returns the first error of all writes.
    pub(crate) fn finish(mut self) -> Option<io::Error> {
        let _remembered = self.flush();
        self.failure
    }

    /// True if an error only reports the failure of this output.
    pub(crate) fn has_caused(&self, error: &(dyn Error + 'static)) -> bool {
        let same = |error: &io::Error| {
            self.failure.as_ref().is_some_and(|failure| {
                (failure.kind(), failure.raw_os_error()) == (error.kind(), error.raw_os_error())
            })
        };
        causes(error).any(|cause| cause.downcast_ref().is_some_and(same))
    }

    /// Records the result of a write that bypassed the buffer.
    pub(crate) fn remember(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            self.failure.get_or_insert(error);
        }
    }

    /// Returns the first error, for another caller.
    fn failed(&self) -> io::Result<()> {
        self.failure.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }

    /// Writes the buffer out.
    fn pass(&mut self) -> io::Result<()> {
        self.failed()?;
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        let done = patiently(|| {
            while !rest.is_empty() {
                match self.out.write(rest)? {
                    0 => return Err(ErrorKind::WriteZero.into()),
                    written => rest = &rest[written..],
                }
            }
            Ok(())
        });
        self.remember(done);
        self.failed()
    }

    fn put(&mut self, bytes: &[u8], add: fn(&[u8], &mut Vec<u8>)) -> io::Result<usize> {
        self.failed()?;
        add(bytes, &mut self.buffer);
        if self.buffer.len() >= BUFFER {
            self.pass()?;
        }
        Ok(bytes.len())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes, escape_lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass()?;
        let done = patiently(|| self.out.flush());
        self.remember(done);
        self.failed()
    }
}

/// An [`Output`] without escaping.
#[derive(Debug)]
pub struct Raw<'a>(&'a mut Output);

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes, |bytes, buffer| buffer.extend_from_slice(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Retries a write until it succeeds or finally fails, because another program may have made a shared
/// output non-blocking.
fn patiently(mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match write() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BUSY),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Clones an error.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Prints a warning on the standard error.
pub fn warn(program: &str, what: &str) {
    complain(program, &format!("warning: {what}"));
}

/// Tells people at a terminal the next step, on the standard error. Programs that read the output don't
/// get it.
pub fn hint(text: &str) {
    if io::stderr().is_terminal() {
        let text = Names::here().in_text(text);
        let _nobody = text.lines().try_for_each(|line| writeln!(io::stderr(), "{}", Foreign(line)));
    }
}

/// Shows people at a terminal how far something is, on the standard error, in the place of what was
/// shown before. An empty text ends it.
pub fn progress(text: &str) {
    let mut error = io::stderr();
    if error.is_terminal() {
        let _nobody = write!(error, "\r\x1b[K{}", Foreign(text)).and_then(|()| error.flush());
    }
}

/// Prints a line on the standard error. If that fails, the exit code remains.
pub(crate) fn complain(program: &str, line: &str) {
    let line = Excerpt::of(format_args!("{line}"));
    let program = Names::here().program(program);
    let _nobody = writeln!(io::stderr(), "{program}: {}", Foreign(&line));
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// The bytes written, and the results of the next writes.
    #[derive(Clone, Default)]
    struct Script(Rc<RefCell<(Vec<u8>, Vec<ErrorKind>)>>);

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (written, errors) = &mut *self.0.borrow_mut();
            if let Some(error) = errors.pop() {
                return Err(error.into());
            }
            // At most three bytes at once.
            let taken = bytes.len().min(3);
            written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_is_slow_or_interrupted_gets_every_byte_once() {
        let script = Script::default();
        script.0.borrow_mut().1 = vec![ErrorKind::WouldBlock, ErrorKind::Interrupted];
        let mut output = Output::new(script.clone());
        output.say("a line of some length");
        assert!(output.finish().is_none());
        assert_eq!(script.0.borrow().0, b"a line of some length\n");
    }

    #[test]
    fn the_first_failure_is_remembered_though_nobody_looked_and_nothing_follows_it() {
        let script = Script::default();
        script.0.borrow_mut().1 = vec![ErrorKind::StorageFull];
        let mut output = Output::new(script.clone());
        output.say("lost");
        output.say("would follow a hole");
        assert!(output.write_all(&[b'x'; BUFFER]).is_err());
        assert_eq!(output.finish().unwrap().kind(), ErrorKind::StorageFull);
        assert!(script.0.borrow().0.is_empty());
    }

    #[test]
    fn names_steer_no_terminal_and_programs_get_every_byte() {
        let script = Script::default();
        let mut output = Output::new(script.clone());
        output.say("nic \u{1b}[2J");
        output.raw().write_all(b"nic \x1b[2J\n").unwrap();
        assert!(output.finish().is_none());
        assert_eq!(script.0.borrow().0, b"nic \\u001b[2J\nnic \x1b[2J\n");
    }
}
