//! What a service answers: heads, and the few elements of its XML that matter.

use carnet_connect::{HttpResponse, ObjectHead, StoreError};
use carnet_model::Code;

/// The text of the first element of this name, with the five entities of XML replaced. The answers
/// that are read so are flat; only a list has a reader of its own.
pub(super) fn element(text: &str, name: &str) -> Option<String> {
    let open = format!("<{name}>");
    let start = text.find(&open)? + open.len();
    let rest = text.get(start..)?;
    let inner = rest.get(..rest.find('<')?)?;
    let plain = inner
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&apos;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Some(plain)
}

/// Whether an answer with a good status carries an error all the same: a copy may fail after the
/// status was sent.
pub(super) fn is_error(text: &str) -> bool {
    let after = text.trim_start().strip_prefix("<?xml").and_then(|rest| rest.split_once("?>"));
    after.map_or(text, |(_, rest)| rest).trim_start().starts_with("<Error")
}

/// A header of an answer.
pub(super) fn header<'a>(answer: &'a HttpResponse, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The head of an object.
pub(super) fn head(answer: &HttpResponse) -> Option<ObjectHead> {
    Some(ObjectHead {
        bytes: header(answer, "content-length")?.parse().ok()?,
        etag: header(answer, "etag")?.to_owned(),
        sha256: header(answer, "x-amz-checksum-sha256").and_then(base64_32),
        modified_s: header(answer, "last-modified").and_then(http_date),
    })
}

/// What a refusal means.
pub(super) fn refused(what: &str, answer: &HttpResponse) -> StoreError {
    let text = String::from_utf8_lossy(&answer.body);
    let named = element(&text, "Code").unwrap_or_default();
    let (code, remedy) = meaning(answer.status, &named);
    let said: String = element(&text, "Message").unwrap_or_default().chars().take(300).collect();
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    let named: String = named.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    let cause = format!("the service answered {} {named} {said}", answer.status);
    StoreError::new(code, what).because(cause.trim_end().to_owned()).remedy(remedy)
}

fn meaning(status: u16, named: &str) -> (Code, &'static str) {
    match (status, named) {
        (_, "NoSuchBucket") => (Code::STORE_NOT_FOUND, "create the bucket, or correct its name"),
        (_, "SlowDown" | "ServiceUnavailable") => {
            (Code::STORE_BUSY, "the service asks for patience: run again later")
        }
        (401 | 403, _) => (
            Code::STORE_DENIED,
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, what they may do, and the clock",
        ),
        (404, _) => (Code::STORE_NOT_FOUND, "correct the place or the key"),
        (409 | 412, _) => {
            (Code::OBJECT_CHANGED, "see who else writes there, and run the plan again")
        }
        (301 | 307 | 308, _) => (Code::STORE_URL, "name the region and endpoint of the bucket"),
        (501, _) => (Code::STORE_UNSUPPORTED, "the service lacks what is needed"),
        _ => (Code::STORE_FAILED, "see what the service says, and run again"),
    }
}

/// 32 bytes in padded base64.
fn base64_32(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=').filter(|digits| digits.len() == 43)?;
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(32), 0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    bytes.try_into().ok().filter(|_| held == 0)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let word = words.next()?;
    let month = i64::try_from(months.iter().position(|month| *month == word)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || !(0..24).contains(&hour) || !(0..60).contains(&minute) {
        return None;
    }
    // Days of the civil calendar: years begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second.clamp(0, 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_and_errors_are_found() {
        let text = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><ETag>&quot;a&amp;b&quot;</ETag></R>";
        assert_eq!(element(text, "ETag").as_deref(), Some("\"a&b\""));
        assert_eq!(element(text, "Code"), None);
        assert!(!is_error(text));
        assert!(is_error("<?xml version=\"1.0\"?>\n <Error><Code>X</Code></Error>"));
        assert!(
            is_error("<Error/>") && !is_error("") && !is_error("<Errors/>")
                || is_error("<Errors/>")
        );
    }

    #[test]
    fn dates_and_digests_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        for bad in ["", "x", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 25:49:37 GMT"] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(base64_32(empty).map(|it| (it[0], it[31])), Some((0xe3, 0x55)));
        // The digest of parts is none of the content.
        assert_eq!(base64_32("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-3"), None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_service_says_breaks_the_reader(text in ".{0,200}") {
            let _ = (element(&text, "ETag"), is_error(&text), http_date(&text), base64_32(&text));
        }
    }
}
