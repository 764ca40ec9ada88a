//! Numbers by their exact decimal value.

/// The most digits of an integer.
const MAX_DIGITS: usize = 400;

/// The number cannot be written without changing it, or has too many digits.
pub(super) struct NotExact;

/// Appends the canonical form of a JSON number.
pub(super) fn write(token: &str, out: &mut String) -> Result<(), NotExact> {
    if is_plain(token) {
        if token.len() > MAX_DIGITS + usize::from(token.starts_with('-')) {
            return Err(NotExact);
        }
        out.push_str(if token == "-0" { "0" } else { token });
        return Ok(());
    }
    if is_short_fraction(token) {
        out.push_str(token);
        return Ok(());
    }
    let scaled = Scaled::of(token);
    if scaled.exponent >= 0 { scaled.write_integer(out) } else { write_fraction(token, out) }
}

/// Whether a JSON number is written in its canonical form.
#[inline]
pub(super) fn is_canonical(token: &str) -> bool {
    if is_plain(token) {
        return token != "-0" && token.len() <= MAX_DIGITS + usize::from(token.starts_with('-'));
    }
    if is_short_fraction(token) {
        return true;
    }
    let mut buffer = ryu_js::Buffer::new();
    Scaled::of(token).exponent < 0 && form_of(token, &mut buffer) == Some(token)
}

/// Whether the token is a fraction such as `0.25` that is canonical without a look at its double:
/// at most 15 digits, so that no other decimal of that length has the same nearest double; no 0 at
/// its end; not so small that it is written with an exponent.
#[inline]
fn is_short_fraction(token: &str) -> bool {
    let number = token.strip_prefix('-').unwrap_or(token);
    number.len() <= 16
        && !number.starts_with("0.00000")
        && !number.ends_with('0')
        && number.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}

/// Whether the token has neither fraction nor exponent.
#[inline]
fn is_plain(token: &str) -> bool {
    !token.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Appends the RFC 8785 form of the nearest double, if it has the token's value.
fn write_fraction(token: &str, out: &mut String) -> Result<(), NotExact> {
    let mut buffer = ryu_js::Buffer::new();
    let form = form_of(token, &mut buffer).ok_or(NotExact)?;
    if form != token && Scaled::of(form) != Scaled::of(token) {
        return Err(NotExact);
    }
    out.push_str(form);
    Ok(())
}

/// The RFC 8785 form of the nearest double: as ECMAScript prints it. None beyond the largest.
fn form_of<'b>(token: &str, buffer: &'b mut ryu_js::Buffer) -> Option<&'b str> {
    let double: f64 = token.parse().ok()?;
    double.is_finite().then(|| buffer.format_finite(double))
}

/// The value of a number token: ± digits · 10^exponent, where the digits neither start nor end
/// with 0. Zero has no digits and no sign.
struct Scaled<'a> {
    negative: bool,
    /// The token from its first to its last digit that is not 0; a point may stand among them.
    digits: &'a [u8],
    exponent: i64,
}

impl<'a> Scaled<'a> {
    fn of(token: &'a str) -> Self {
        let (negative, number) = match token.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, token),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
        let is_digit = |byte: &u8| matches!(byte, b'1'..=b'9');
        let bytes = mantissa.as_bytes();
        let (Some(first), Some(last)) =
            (bytes.iter().position(is_digit), bytes.iter().rposition(is_digit))
        else {
            return Self { negative: false, digits: &[], exponent: 0 };
        };
        let point = mantissa.find('.').unwrap_or(mantissa.len());
        let weight =
            if last < point { saturated(point - 1 - last) } else { -saturated(last - point) };
        Self {
            negative,
            digits: bytes.get(first..=last).unwrap_or_default(),
            exponent: weight + exponent_of(exponent),
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.digits.iter().copied().filter(|byte| *byte != b'.')
    }

    /// Appends the digits with as many zeros as the exponent says.
    fn write_integer(&self, out: &mut String) -> Result<(), NotExact> {
        let zeros = usize::try_from(self.exponent).map_err(|_| NotExact)?;
        if self.digits().take(MAX_DIGITS + 1).count().saturating_add(zeros) > MAX_DIGITS {
            return Err(NotExact);
        }
        if self.digits.is_empty() {
            out.push('0');
            return Ok(());
        }
        if self.negative {
            out.push('-');
        }
        out.extend(self.digits().map(char::from));
        out.extend(std::iter::repeat_n('0', zeros));
        Ok(())
    }
}

impl PartialEq for Scaled<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.negative == other.negative
            && self.exponent == other.exponent
            && self.digits().eq(other.digits())
    }
}

/// Larger than any length of a token, small enough to add up.
const FAR: i64 = 1 << 40;

fn saturated(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(FAR).min(FAR)
}

/// The value of `+5`, `-05` or nothing at all, cut at ±2^40.
fn exponent_of(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let value =
        digits.bytes().fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(FAR));
    sign * value
}
