//! Numbers for people.

/// `4000` as `4,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A count with its noun: `1 record`, `4,000 records`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Bytes in units of a thousand, as disks and networks are sold: `6.14 MB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1000 {
        return counted(number, "byte", "bytes");
    }
    // Three digits in whole numbers: no rounding up to 1000 of a unit, no float.
    let (mut scale, mut unit) = (1000_u64, 0);
    while number / scale >= 1000 && unit + 1 < UNITS.len() {
        scale *= 1000;
        unit += 1;
    }
    let (whole, rest) = (number / scale, number % scale);
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    match whole {
        0..10 => format!("{whole}.{:02} {unit}", rest / (scale / 100)),
        10..100 => format!("{whole}.{} {unit}", rest / (scale / 10)),
        100.. => format!("{} {unit}", count(whole)),
    }
}

/// A length of time given in microseconds: `3 ms`, `1.25 s`, `2 min 05 s`, `3 h 07 min`.
pub(crate) fn duration(micros: i64) -> String {
    let millis = micros.max(0) / 1000;
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        60_000..3_600_000 => format!("{} min {:02} s", millis / 60_000, millis % 60_000 / 1000),
        _ => format!("{} h {:02} min", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(counted(1, "record", "records"), "1 record");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1000), "1.00 kB");
        assert_eq!(bytes(6_144_045), "6.14 MB");
        assert_eq!(bytes(999_999), "999 kB");
        assert_eq!(bytes(u64::MAX), "18,446 PB");
        assert_eq!(duration(-5), "0 ms");
        assert_eq!(duration(1_250_000), "1.25 s");
        assert_eq!(duration(125_000_000), "2 min 05 s");
        assert_eq!(duration(11_220_000_000), "3 h 07 min");
    }
}
