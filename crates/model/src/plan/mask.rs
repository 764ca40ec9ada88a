//! Passwords hidden in text that is about to be shown.

/// The same text with each password in a URL overwritten by `*`, line by line.
///
/// The result has as many bytes as the text, so that spans keep their meaning: a renderer shows
/// lines of `mask(text)`. What cannot be told apart is masked too: all between the first colon
/// after `://` and the last `@` of the line, and whatever follows `password=`.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        masked.push_str(&mask_line(line));
    }
    masked
}

fn mask_line(line: &str) -> String {
    let mut hidden = vec![false; line.len()];
    let mut hide = |from: usize, to: usize| {
        hidden.iter_mut().take(to).skip(from).for_each(|byte| *byte = true);
    };
    if let (Some(scheme), Some(at)) = (line.find("://"), line.rfind('@')) {
        let login = scheme + 3;
        let colon = line.get(login..at).and_then(|text| text.find(':'));
        if let Some(colon) = colon {
            hide(login + colon + 1, at);
        }
    }
    let lower = line.to_ascii_lowercase();
    for (found, word) in lower.match_indices("password=") {
        let from = found + word.len();
        let rest = lower.get(from..).unwrap_or_default();
        let ends = rest.find(|c: char| c == '&' || c == '"' || c == '\'' || c.is_whitespace());
        hide(from, from + ends.unwrap_or(rest.len()));
    }
    let mut masked = String::with_capacity(line.len());
    for (index, letter) in line.char_indices() {
        if hidden.get(index).copied().unwrap_or(false) {
            masked.extend(std::iter::repeat_n('*', letter.len_utf8()));
        } else {
            masked.push(letter);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_go_and_lengths_stay() {
        for (text, shown) in [
            ("store: postgres://me:s3@cr/t@db/kb", "store: postgres://me:*******@db/kb"),
            ("postgres://db/kb?password=s3cr3t&x=1", "postgres://db/kb?password=******&x=1"),
            ("a: \"postgres://u:pä@h/d\"\nb: x", "a: \"postgres://u:***@h/d\"\nb: x"),
            ("postgres://me@db/kb", "postgres://me@db/kb"),
            ("owner: ops@example.org", "owner: ops@example.org"),
            ("nothing to hide: here", "nothing to hide: here"),
        ] {
            let masked = mask(text);
            assert_eq!(masked, shown);
            assert_eq!(masked.len(), text.len());
        }
    }
}
