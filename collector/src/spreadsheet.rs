//! Texts in files that people open with a spreadsheet.

use csv::Writer;
use settings::Foreign;

/// Characters that start a formula in a spreadsheet, also in full-width form.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// Escapes a text of a cell so that no spreadsheet runs it and hidden characters show.
#[must_use]
pub fn guarded(text: &str) -> String {
    let guard = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("{guard}{}", Foreign(text))
}

/// Lines of CSV (RFC 4180) after a head. Cells are as given: see [`guarded`].
#[must_use]
pub fn table<const N: usize>(
    columns: [&str; N],
    lines: impl IntoIterator<Item = [String; N]>,
) -> String {
    let head = columns.map(str::to_owned);
    self::lines(std::iter::once(head).chain(lines))
}

/// Lines of CSV without a head.
#[must_use]
pub fn lines<const N: usize>(lines: impl IntoIterator<Item = [String; N]>) -> String {
    let mut out = Writer::from_writer(Vec::new());
    // Writing to memory can't fail.
    for line in lines {
        let _line = out.write_record(line);
    }
    let bytes = out.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_starts_a_formula_or_hides_something() {
        for (text, cell) in [
            ("=cmd|'/C'!A0", "'=cmd|'/C'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\u0009=1"),
            ("＝1", "'＝1"),
            ("a\u{1b}]b", "a\\u001b]b"),
            ("eth0-1", "eth0-1"),
            ("网卡0", "网卡0"),
        ] {
            assert_eq!(guarded(text), cell);
        }
    }
}
