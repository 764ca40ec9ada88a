//! Amounts of money, as digits: compared exactly, and never as fractions of two.

use std::cmp::Ordering;

/// What is before and behind the point, without zeros that mean nothing; `None` if it is no amount.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| part.bytes().all(|it| it.is_ascii_digit());
    let is_amount = !fraction.is_empty() && is_digits(whole) && is_digits(fraction);
    (is_amount && !text.is_empty() && text.len() <= 100)
        .then(|| (whole.trim_start_matches('0'), fraction.trim_end_matches('0')))
}

/// Whether a text is an amount: digits, perhaps with a point.
pub(super) fn is_amount(text: &str) -> bool {
    parts(text).is_some()
}

/// How two amounts stand to each other; `None` if one is none.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let ((whole, fraction), (other_whole, other_fraction)) = (parts(one)?, parts(other)?);
    let of_whole = whole.len().cmp(&other_whole.len()).then_with(|| whole.cmp(other_whole));
    Some(of_whole.then_with(|| fraction.cmp(other_fraction)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_by_their_digits() {
        for (one, other, order) in [
            ("30", "30.0", Ordering::Equal),
            ("030", "30", Ordering::Equal),
            (".5", "0.50", Ordering::Equal),
            ("0", "0.0", Ordering::Equal),
            ("9", "30", Ordering::Less),
            ("29.99", "30", Ordering::Less),
            ("30.01", "30.1", Ordering::Less),
            ("0.30000000000000001", "0.3", Ordering::Greater),
            ("15000000000000", "9007199254740993", Ordering::Less),
        ] {
            assert_eq!(compare(one, other), Some(order), "{one} {other}");
            assert_eq!(compare(other, one), Some(order.reverse()), "{other} {one}");
        }
        let long = "1".repeat(101);
        for none in ["", ".", "1.", "-1", "1e3", "1,5", " 1", "1.2.3", "NaN", long.as_str()] {
            assert_eq!(compare(none, "1"), None, "{none}");
            assert!(!is_amount(none));
        }
    }
}
