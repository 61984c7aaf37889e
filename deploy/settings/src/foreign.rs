//! Makes foreign text (of the kernel, peers, files, databases) safe to show. Characters that would
//! control a terminal or change the reading order are written as escapes, such as `\u001b` for the
//! escape character; JSON uses the same form.

use std::borrow::Cow;
use std::fmt::{self, Alignment, Display, Write};

use unicode_width::UnicodeWidthStr;
use wire::token::masked;

use crate::names::Names;

/// Foreign text for display: one line, with everything visible. Pads to terminal columns; a Chinese
/// character takes two, a combining accent none.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<'a>(pub &'a str);

impl Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.0.chars().any(is_hidden) {
            let mut shown = String::new();
            Escaping(&mut shown).write_str(self.0)?;
            Cow::Owned(shown)
        } else {
            Cow::Borrowed(self.0)
        };
        let missing = f.width().unwrap_or(0).saturating_sub(columns(&shown));
        let before = match f.align() {
            None | Some(Alignment::Left) => 0,
            Some(Alignment::Center) => missing / 2,
            Some(Alignment::Right) => missing,
        };
        let fill = f.fill();
        (0..before).try_for_each(|_| f.write_char(fill))?;
        f.write_str(&shown)?;
        (before..missing).try_for_each(|_| f.write_char(fill))
    }
}

/// Width of a text in terminal columns (UAX #11: wide characters take two).
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// A writer that makes everything visible, for texts written in pieces.
#[derive(Debug)]
pub(crate) struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_hidden) {
            self.0.write_str(&rest[..at])?;
            let hidden = rest[at..].chars().next().unwrap_or_default();
            write_escaped(hidden, &mut self.0)?;
            rest = &rest[at + hidden.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Longest foreign text in one log field, bytes as shown. Some eight such fields stay below the 48 KiB
/// at which journald splits a line, giving the rest a priority of its own (`LineMax=`,
/// journald.conf(5)).
pub(crate) const TOLD_MAX: usize = 4096;

/// The start of a text of any length, with tokens masked, commands as they are typed here, and the
/// number of bytes cut. Its memory is bounded.
#[derive(Debug, Default)]
pub(crate) struct Excerpt {
    text: String,
    /// Length of `text` as shown, bytes.
    shown: usize,
    cut: u64,
}

impl Excerpt {
    /// Formats a value.
    pub(crate) fn of(value: fmt::Arguments<'_>) -> String {
        let mut told = Self::default();
        // If formatting fails, the text so far is used.
        let _ = told.write_fmt(value);
        told.finish()
    }

    fn finish(self) -> String {
        let mut text = match masked(&self.text) {
            Cow::Owned(masked) => masked,
            Cow::Borrowed(_) => self.text,
        };
        if let Cow::Owned(named) = Names::here().in_text(&text) {
            text = named;
        }
        if self.cut > 0 {
            // Writing to a String can't fail.
            let _ = write!(text, " [cut: {} bytes more]", self.cut);
        }
        text
    }
}

impl Write for Excerpt {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while self.cut == 0
            && let Some(next) = rest.chars().next()
        {
            let shown = self.shown + shown_len(next);
            if shown > TOLD_MAX {
                break;
            }
            self.shown = shown;
            self.text.push(next);
            rest = &rest[next.len_utf8()..];
        }
        self.cut += rest.len() as u64;
        Ok(())
    }
}

/// Appends lines to the output, with everything visible but line ends and tabs. Bytes that are not
/// UTF-8 are written as `\xff`.
pub(crate) fn escape_lines(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(|c| is_hidden(c) && !matches!(c, '\n' | '\t')) {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            let hidden = rest[at..].chars().next().unwrap_or_default();
            out.extend_from_slice(Foreign(hidden.encode_utf8(&mut [0; 4])).to_string().as_bytes());
            rest = &rest[at + hidden.len_utf8()..];
        }
        out.extend_from_slice(rest.as_bytes());
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
}

/// Length of a character as shown, bytes.
fn shown_len(c: char) -> usize {
    if is_hidden(c) { "\\u0000".len() * c.len_utf16() } else { c.len_utf8() }
}

/// Writes it in UTF-16, as JSON does.
fn write_escaped(hidden: char, out: &mut impl Write) -> fmt::Result {
    hidden.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
}

/// True for characters that control terminals (C0, C1), break lines, change the reading order
/// (bidirectional marks and overrides) or have no width: soft hyphen, joiners, zero-width spaces, tags
/// (Unicode 16, general categories Cc and Cf, Zl, Zp).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hostile names, and how they are shown.
    const HOSTILE: [(&str, &str); 7] = [
        ("a\u{1b}[2Jb", "a\\u001b[2Jb"),
        ("\u{9b}31mred", "\\u009b31mred"),
        ("two\nlines\tand\r\u{7f}", "two\\u000alines\\u0009and\\u000d\\u007f"),
        ("abc\u{202e}fdp.exe\u{2066}", "abc\\u202efdp.exe\\u2066"),
        ("pay\u{200b}pal\u{feff}", "pay\\u200bpal\\ufeff"),
        ("\u{e0041}", "\\udb40\\udc41"),
        ("网卡0 e\u{301} é", "网卡0 e\u{301} é"),
    ];

    #[test]
    fn what_steers_or_hides_is_written_out_and_all_else_stays() {
        for (text, shown) in HOSTILE {
            assert_eq!(Foreign(text).to_string(), shown);
            let mut lines = Vec::new();
            escape_lines(text.as_bytes(), &mut lines);
            let kept = shown.replace("\\u000a", "\n").replace("\\u0009", "\t");
            assert_eq!(String::from_utf8(lines).unwrap(), kept);
        }
        assert_eq!(format!("[{:4}|{:>4}]", Foreign("ab"), Foreign("é")), "[ab  |   é]");
    }

    #[test]
    fn wide_characters_and_accents_shift_no_column() {
        let padded =
            |name| format!("{:6}|{:>6}|{:^6}|", Foreign(name), Foreign(name), Foreign(name));
        assert_eq!(padded("ab"), "ab    |    ab|  ab  |");
        assert_eq!(padded("网卡"), "网卡  |  网卡| 网卡 |");
        assert_eq!(padded("e\u{301}"), "e\u{301}     |     e\u{301}|  e\u{301}   |");
        assert_eq!(padded("网卡网卡"), "网卡网卡|网卡网卡|网卡网卡|", "nothing is cut");
        assert_eq!(format!("{:8}|", Foreign("\n")), "\\u000a  |");
    }

    #[test]
    fn json_reads_back_what_was_escaped() {
        for (text, _) in HOSTILE {
            let json = serde_json::to_string(text).unwrap();
            let mut shown = Vec::new();
            escape_lines(json.as_bytes(), &mut shown);
            assert_eq!(serde_json::from_slice::<String>(&shown).unwrap(), text);
        }
    }

    #[test]
    fn of_a_long_text_the_beginning_is_told_and_how_much_was_cut() {
        let long = "x".repeat(1 << 20);
        let told = Excerpt::of(format_args!("{long}"));
        assert_eq!(told, format!("{} [cut: {} bytes more]", &long[..4096], (1 << 20) - 4096));
        // The limit counts bytes as shown: an escaped character takes six.
        let told = Excerpt::of(format_args!("{}", "\u{1b}".repeat(1000)));
        assert_eq!(told, format!("{} [cut: 318 bytes more]", "\u{1b}".repeat(682)));
        assert_eq!(Excerpt::of(format_args!("{}", &long[..4096])), long[..4096]);
        assert_eq!(Excerpt::of(format_args!("网卡 {}", 7)), "网卡 7");
    }

    #[test]
    fn a_token_is_masked_also_where_it_is_cut() {
        let token = format!("nmt1_{}", "A".repeat(90));
        assert_eq!(Excerpt::of(format_args!("no client {token}")), "no client nmt1_***");
        let cut = Excerpt::of(format_args!("{}{token}", "x".repeat(4050)));
        assert!(cut.ends_with("xnmt1_*** [cut: 49 bytes more]"), "{cut}");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        let mut lines = Vec::new();
        escape_lines(b"eth\xff\xc30\n", &mut lines);
        assert_eq!(lines, b"eth\\xff\\xc30\n");
    }
}
