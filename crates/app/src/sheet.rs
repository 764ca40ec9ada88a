//! Text for people, line by line.

use std::fmt::{Display, Write};

/// A text that grows by lines.
#[derive(Default)]
pub(crate) struct Sheet(String);

impl Sheet {
    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl Display) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// Adds an empty line.
    pub(crate) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Adds `label  text` with the text wrapped and indented under its own start. A label that leaves the
    /// text no room has a line of its own.
    pub(crate) fn field(&mut self, label: impl Display, label_width: usize, text: &str) {
        let lines = wrap(text, WIDTH - label_width - 2);
        let mut lines = lines.iter();
        let first = lines.next().map_or("", String::as_str);
        let line = format!("{label:<label_width$}  {first}");
        if line.chars().count() <= WIDTH || first.is_empty() {
            self.line(line.trim_end());
        } else {
            self.line(&label);
            self.line(format_args!("{:label_width$}  {first}", ""));
        }
        for line in lines {
            self.line(format_args!("{:label_width$}  {line}", ""));
        }
    }

    /// The text.
    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// The columns that text is laid out for.
pub(crate) const WIDTH: usize = 80;

/// Text in lines of at most `width` characters, broken at spaces. A longer word (a path, a digest)
/// stays whole, so that it can be copied.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let needed = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && needed > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_stay_whole_and_lines_fit() {
        let long = "x".repeat(90);
        let lines = wrap(&format!("one two three {long} four"), 10);
        assert_eq!(lines, ["one two", "three", long.as_str(), "four"]);
        assert_eq!(wrap("a\nb", 10), ["a", "b"]);
        let mut sheet = Sheet::default();
        sheet.field("a", 2, &"word ".repeat(20));
        assert!(sheet.text().lines().all(|line| line.chars().count() <= WIDTH));
    }
}
