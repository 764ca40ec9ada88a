//! The word that was probably meant.

/// The nearest of the known words, if it is near enough to be a slip of the fingers: one edit in
/// three letters, an edit being a letter added, dropped, changed, or exchanged with its neighbour.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are not slips, and the table below grows with their length.
    if word.chars().count() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let near = known.into_iter().map(|other| (distance(word, other), other));
    near.filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, other)| other)
}

/// Damerau–Levenshtein distance (optimal string alignment), without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (row, &letter) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        let mut previous_b = None;
        for (column, &other) in b.iter().enumerate() {
            let at =
                |list: &[usize], index: usize| list.get(index).copied().unwrap_or(usize::MAX / 2);
            let change = at(&above, column) + usize::from(letter != other);
            let mut best = change.min(at(&above, column + 1) + 1).min(at(&line, column) + 1);
            if column > 0 && previous_a == Some(other) && previous_b == Some(letter) {
                best = best.min(at(&before, column - 1) + 1);
            }
            line.push(best);
            previous_b = Some(other);
        }
        before = std::mem::replace(&mut above, line);
        previous_a = Some(letter);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["retention", "jurisdiction", "classification"];
        assert_eq!(nearest("retension", known), Some("retention"));
        assert_eq!(nearest("RETENTION", known), Some("retention"));
        assert_eq!(nearest("owner", known), None);
        assert_eq!(nearest("soruce", ["source", "target"]), Some("source"));
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
