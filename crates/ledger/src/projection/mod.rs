//! The log's events in forms that the tools of others read. None of them is the evidence: the log
//! is, and each form names the event that it was made from.

mod believed;
mod cloudevent;
#[cfg(feature = "cose")]
mod cose;
mod dsse;
mod statement;

pub use believed::{ENVELOPE_NAMESPACE, check_envelope};
pub use cloudevent::cloud_event;
#[cfg(feature = "cose")]
pub use cose::{CoseError, CoseReceipt};
pub use dsse::{Envelope, EnvelopeError, EnvelopeSignature, pae};
pub use statement::{STATEMENT_PAYLOAD_TYPE, statement_of};

/// Appends what may stand in a URI as it is, and everything else as `%XX` (RFC 3986).
fn push_uri_part(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 0xF] {
                out.push(HEX.get(usize::from(nibble)).copied().map_or('0', char::from));
            }
        }
    }
}
