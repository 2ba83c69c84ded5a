//! Pictures of a terminal as SVG: what the README shows is a photograph of a real run, not a drawing.

use std::fmt::Write;
use std::num::NonZeroU16;

use vt100::{Color, Parser};

/// Width and height of a character cell, in units of the picture.
const CELL: (usize, usize) = (9, 19);
/// The sixteen colours of the VGA text console.
const COLOURS: [&str; 16] = [
    "#000000", "#aa0000", "#00aa00", "#aa5500", "#0000aa", "#aa00aa", "#00aaaa", "#aaaaaa", "#555555",
    "#ff5555", "#55ff55", "#ffff55", "#5555ff", "#ff55ff", "#55ffff", "#ffffff",
];

/// A stretch of a line that looks the same.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Look {
    ink: &'static str,
    paper: &'static str,
    bold: bool,
    underlined: bool,
}

/// Draws what `tmux capture-pane -e` printed.
pub fn svg(capture: &str, title: &str) -> String {
    let lines = capture.trim_end_matches('\n').lines().count();
    let (columns, rows) = (80, lines.max(24));
    let sized = |cells: usize| NonZeroU16::new(cells.try_into().expect("a size")).expect("a size");
    let mut parser = Parser::new(sized(rows), sized(columns), 0);
    parser.process(capture.trim_end_matches('\n').replace('\n', "\r\n").as_bytes());
    let (width, height) = (columns * CELL.0 + 20, rows * CELL.1 + 20);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" \
         fill=\"#000000\"/>\n<g font-family=\"'DejaVu Sans Mono','Liberation Mono',Menlo,Consolas,monospace\" \
         font-size=\"14.95\" xml:space=\"preserve\" style=\"white-space:pre\">\n",
        escaped(title)
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let (look, _) = at(&parser, row, column);
            let first = column;
            let mut text = String::new();
            while column < columns && at(&parser, row, column).0 == look {
                text.push_str(&at(&parser, row, column).1);
                column += 1;
            }
            draw(&mut out, look, &text, (first, row), column - first);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn draw(out: &mut String, look: Look, text: &str, (column, row): (usize, usize), length: usize) {
    let (x, y, width) = (column * CELL.0 + 10, row * CELL.1 + 10, length * CELL.0);
    if look.paper != COLOURS[0] {
        let (paper, height) = (look.paper, CELL.1);
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{paper}\"/>"
        )
        .expect("text");
    }
    // Blanks at the ends carry nothing, and some readers drop them, which would shift the rest.
    let blanks = text.chars().take_while(|&c| c == ' ').count();
    let text = text.trim_matches(' ');
    if text.is_empty() {
        return;
    }
    let (x, width) = (x + blanks * CELL.0, text.chars().count() * CELL.0);
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let line = if look.underlined {
        " text-decoration=\"underline\""
    } else {
        ""
    };
    // The length keeps the columns straight whatever font the reader has.
    writeln!(
        out,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{weight}{line}>{}</text>",
        y + 15,
        look.ink,
        escaped(text)
    )
    .expect("text");
}

fn at(parser: &Parser, row: usize, column: usize) -> (Look, String) {
    let place = (row.try_into().expect("row"), column.try_into().expect("column"));
    let cell = parser
        .screen()
        .cell(place.0, place.1)
        .expect("a cell of the screen");
    let mut ink = colour(cell.fgcolor(), COLOURS[7]);
    let mut paper = colour(cell.bgcolor(), COLOURS[0]);
    if cell.inverse() {
        std::mem::swap(&mut ink, &mut paper);
    }
    let look = Look {
        ink,
        paper,
        bold: cell.bold(),
        underlined: cell.underline(),
    };
    let text = if cell.contents().is_empty() {
        " "
    } else {
        cell.contents()
    };
    (look, text.to_owned())
}

fn colour(colour: Color, default: &'static str) -> &'static str {
    match colour {
        Color::Idx(number) => COLOURS.get(usize::from(number)).copied().unwrap_or(default),
        Color::Default | Color::Rgb(..) => default,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[test]
fn a_picture_holds_the_text_its_colours_and_its_frames() {
    let picture = svg(
        "plain \u{1b}[1;31mred & bold\u{1b}[0m\n\u{1b}[7m│<x>│\u{1b}[0m\n",
        "a test",
    );
    for part in [
        ">plain</text>",
        "fill=\"#aa0000\" font-weight=\"bold\">red &amp; bold</text>",
        "fill=\"#aaaaaa\"/>",
        "fill=\"#000000\">│&lt;x&gt;│</text>",
        "<title>a test</title>",
    ] {
        assert!(picture.contains(part), "{part} in {picture}");
    }
}
