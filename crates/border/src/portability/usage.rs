//! Receipts of uses of data (`receipts/usage.jsonl`): who used what, for what, and how much.

use serde::{Deserialize, Serialize};

/// The most bytes that a file of receipts has.
pub const USAGE_BYTES_MAX: u64 = 16 << 20;
/// The most receipts in a file: each is an event of its own where it arrives.
pub const USAGE_RECEIPTS_MAX: usize = 10_000;

/// One use of data, in the words of the portability contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageLine {
    /// Which data.
    pub data_product_id: String,
    /// Who used it.
    pub consumer_id: String,
    /// For what.
    pub purpose_id: String,
    /// Under which policy: `sha256:<hex>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_snapshot_id: Option<String>,
    /// How much.
    pub usage_quantity: u32,
    /// Of what, such as `records`.
    pub usage_unit: String,
}

/// Reads receipts, one JSON object a line. An error names the line, counted from 1.
pub fn read_usage(bytes: &[u8]) -> Result<Vec<UsageLine>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the receipts are not UTF-8".to_owned())?;
    let mut found = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let number = place + 1;
        if number > USAGE_RECEIPTS_MAX {
            return Err(format!("there are more than {USAGE_RECEIPTS_MAX} receipts"));
        }
        let receipt: UsageLine = serde_json::from_str(line)
            .map_err(|error| format!("line {number} is no receipt: {error}"))?;
        let words = [&receipt.data_product_id, &receipt.consumer_id, &receipt.purpose_id];
        if words.iter().any(|word| word.is_empty()) || receipt.usage_unit.is_empty() {
            return Err(format!("line {number} leaves a member empty"));
        }
        found.push(receipt);
    }
    if found.is_empty() { Err("there is no receipt".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"data_product_id":"kb","consumer_id":"das","purpose_id":"search","usage_quantity":40,"usage_unit":"queries"}"#;

    #[test]
    fn each_line_is_a_receipt() {
        let read = read_usage(format!("{LINE}\n{LINE}\n").as_bytes()).unwrap();
        assert_eq!((read.len(), read[0].usage_quantity), (2, 40));
    }

    #[test]
    fn what_is_none_is_named_by_its_line() {
        for (text, word) in [
            (String::new(), "no receipt"),
            (format!("{LINE}\n{{}}\n"), "line 2"),
            (LINE.replace("40", "-1"), "line 1"),
            (LINE.replace("kb", ""), "empty"),
            (LINE.replace("usage_unit", "unit"), "line 1"),
        ] {
            let error = read_usage(text.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(read_usage(b"\xff").is_err());
    }
}
