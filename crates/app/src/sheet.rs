//! Text for people, line by line.

use std::borrow::Cow;
use std::fmt::{Display, Write};

/// A text that grows by lines.
#[derive(Default)]
pub(crate) struct Sheet(String);

impl Sheet {
    /// Adds a line. What stands in it may come from others: see [`plain`].
    pub(crate) fn line(&mut self, line: impl Display) {
        self.styled(plain(&line.to_string()));
    }

    /// Adds a line that has styles of ours, and texts that are plain already.
    pub(crate) fn styled(&mut self, line: impl Display) {
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

/// A text without characters that command a terminal, but for ends of lines and tabs: each is shown
/// by its number. Evidence, names and reasons are written by others, and must not be able to wipe the
/// screen, or to write on it what we do not say.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if commands(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
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
    fn what_commands_a_terminal_is_shown_and_not_sent() {
        let text = "a\u{1b}]0;pwned\u{7}\u{1b}[2Jb\r\u{9b}c\u{7f}";
        let told = r"a\u{1b}]0;pwned\u{7}\u{1b}[2Jb\u{d}\u{9b}c\u{7f}";
        assert_eq!(plain(text), told);
        assert_eq!(plain("naïve 日本\n\tx"), "naïve 日本\n\tx");
        let mut sheet = Sheet::default();
        sheet.line(text);
        sheet.field(text, 2, text);
        assert!(!sheet.text().contains(|c: char| c.is_control() && c != '\n'));
    }

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
