//! Renders a terminal's screen as an SVG picture. Text stays text; bars and lines are drawn, so that
//! they join in every font.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Width and height of a character, and of the margin around the screen.
const CELL: [usize; 2] = [8, 17];
const MARGIN: usize = 10;

/// Baseline within the cell, and the font.
const BASELINE: usize = 13;
const FONT: &str = "13px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace";

const GROUND: &str = "#161d26";
const TEXT: &str = "#e4eaf1";

/// Colours 1 to 6 of a terminal: red, green, yellow, blue, magenta, cyan.
const COLOURS: [&str; 6] = ["#ff7b72", "#5fd39a", "#f0c674", "#6cb6ff", "#d2a8ff", "#56c8d8"];

/// The style of characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Style {
    /// One of [`COLOURS`], from 1 on; 0: the text colour.
    colour: usize,
    bold: bool,
    dim: bool,
    reverse: bool,
}

impl Style {
    /// Applies a Select Graphic Rendition sequence (ECMA-48, 8.3.117; indexed colours as in xterm).
    fn select(&mut self, parameters: &str) {
        let mut codes = parameters.split([';', ':']).map(|code| code.parse().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                7 => self.reverse = true,
                22 => (self.bold, self.dim) = (false, false),
                27 => self.reverse = false,
                31..=36 => self.colour = code - 30,
                38 => self.colour = codes.nth(1).filter(|colour| *colour < 7).unwrap_or(0),
                39 => self.colour = 0,
                _ => {}
            }
        }
    }

    fn colour(self) -> &'static str {
        match (self.reverse, self.colour) {
            (true, _) => GROUND,
            (false, 0) => TEXT,
            (false, colour) => COLOURS[colour - 1],
        }
    }
}

/// A character with its style.
type Cell = (char, Style);

/// The cells of a line. `style` carries over from line to line.
fn cells(line: &str, style: &mut Style) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        if first != '\x1b' {
            cells.push((first, *style));
        } else if let Some((parameters, after)) = rest.split_once('m') {
            style.select(parameters.trim_start_matches('['));
            rest = after;
        }
    }
    cells
}

/// The bar or line of a character, as a path in its cell; `None` for text.
fn drawn(character: char, x: usize, y: usize) -> Option<String> {
    let [width, height] = CELL;
    let (middle, centre) = (x + width / 2, y + height / 2);
    let bar = |top: usize, size: usize| format!("M{x} {top}h{width}v{size}h-{width}z");
    let across = |from: usize, size: usize| format!("M{from} {centre}h{size}v1h-{size}z");
    let down = |from: usize, size: usize| format!("M{middle} {from}v{size}h1v-{size}z");
    Some(match character {
        '▁'..='█' => {
            let eighths = character as usize - '▁' as usize + 1;
            let size = (height * eighths).div_ceil(8);
            bar(y + height - size, size)
        }
        '─' => across(x, width),
        '│' => down(y, height),
        '┌' => across(middle, width / 2) + &down(centre, height - height / 2),
        '┐' => across(x, width / 2) + &down(centre, height - height / 2),
        '└' => across(middle, width / 2) + &down(y, height / 2),
        '┘' => across(x, width / 2) + &down(y, height / 2),
        _ => return None,
    })
}

/// A screen with its escape sequences, as `tmux capture-pane -e` gives it.
pub(crate) fn svg(screen: &str) -> String {
    let mut style = Style::default();
    let lines: Vec<Vec<Cell>> = screen.lines().map(|line| cells(line, &mut style)).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let size = [columns * CELL[0] + 2 * MARGIN, lines.len() * CELL[1] + 2 * MARGIN];
    let (mut ground, mut text) = (String::new(), String::new());
    let mut paths: BTreeMap<Style, String> = BTreeMap::new();
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + row * CELL[1];
        let mut column = 0;
        while column < line.len() {
            let style = line[column].1;
            // Cells of equal style that stand together are written together.
            let run = line[column..].iter().take_while(|cell| cell.1 == style).count();
            let x = MARGIN + column * CELL[0];
            if style.reverse {
                let (width, height) = (run * CELL[0], CELL[1]);
                let _always = write!(ground, "M{x} {y}h{width}v{height}h-{width}z");
            }
            write_run(&line[column..column + run], [x, y], &mut text, &mut paths);
            column += run;
        }
    }
    let [width, height] = size;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\"><rect width=\"{width}\" height=\"{height}\" rx=\"8\" \
         fill=\"{GROUND}\"/><path fill=\"{TEXT}\" d=\"{ground}\"/>\n"
    );
    for (style, path) in paths {
        let _always = writeln!(picture, "<path{} d=\"{path}\"/>", attributes(style));
    }
    let _always = write!(picture, "<g style=\"font:{FONT}\">\n{text}</g></svg>\n");
    picture
}

/// Writes characters of one style: bars and lines to the path of the style, words as text.
fn write_run(run: &[Cell], at: [usize; 2], text: &mut String, paths: &mut BTreeMap<Style, String>) {
    let [x, y] = at;
    let style = run[0].1;
    let mut word = String::new();
    let mut begun = 0;
    for place in 0..=run.len() {
        let character = run.get(place).map(|cell| cell.0);
        let path = character.and_then(|it| drawn(it, x + place * CELL[0], y));
        let blanks = character == Some(' ') && run.get(place + 1).is_none_or(|it| it.0 == ' ');
        if path.is_some() || blanks || character.is_none() {
            let trimmed = word.trim();
            if !trimmed.is_empty() {
                let leading = word.chars().take_while(|it| *it == ' ').count();
                let x = x + (begun + leading) * CELL[0];
                let (y, width) = (y + BASELINE, trimmed.chars().count() * CELL[0]);
                let attributes = attributes(style);
                let trimmed = trimmed.replace('&', "&amp;").replace('<', "&lt;");
                let _always = writeln!(
                    text,
                    "<text x=\"{x}\" y=\"{y}\" textLength=\"{width}\"{attributes}>{trimmed}</text>"
                );
            }
            word.clear();
            begun = place + 1;
        } else {
            word.extend(character);
        }
        if let Some(path) = path {
            paths.entry(style).or_default().push_str(&path);
        }
    }
}

fn attributes(style: Style) -> String {
    let bold = if style.bold { " font-weight=\"600\"" } else { "" };
    let dim = if style.dim { " opacity=\".6\"" } else { "" };
    format!(" fill=\"{}\"{bold}{dim}", style.colour())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_colour_and_place_and_bars_are_drawn() {
        let picture = svg("\x1b[1ma <b>\x1b[0m  \x1b[38;5;6m▄█\x1b[39m\n\x1b[7mrow\x1b[0m");
        assert!(picture.contains("<text x=\"10\" y=\"23\" textLength=\"40\""), "{picture}");
        assert!(picture.contains("font-weight=\"600\">a &lt;b></text>"), "{picture}");
        assert!(
            picture.contains(&format!("<path fill=\"{}\" d=\"M66 18", COLOURS[5])),
            "{picture}"
        );
        assert!(picture.contains(&format!("fill=\"{GROUND}\">row</text>")), "{picture}");
        assert!(picture.contains("d=\"M10 27h24v17h-24z\""), "{picture}");
    }
}
