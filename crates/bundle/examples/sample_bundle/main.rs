//! Makes a bundle of the files of a folder, with a small log of its own inside: for trying out what
//! takes bundles, without a plan and a run.
//!
//!     cargo run -p carnet-bundle --example sample_bundle -- DATA OUT KEY.vkey [age1… …]
//!
//! The folder becomes `data/…`; what is under `secret/` in it is encrypted for the recipients. The
//! public key of the log is written to KEY.vkey.
#![expect(clippy::expect_used, clippy::panic, reason = "an example")]
#![expect(clippy::print_stdout, reason = "it tells what it made")]

mod evidence;
mod sample;

use std::path::Path;

use carnet_bundle::{BundleItem, Recipients, Work};
use carnet_model::portability::ContentType;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, key, recipients @ ..] = words.as_slice() else {
        return Err("say DATA OUT KEY.vkey [age1… …]".into());
    };
    let kind = ContentType::DataSnapshot;
    let media_type = |_: &str| "application/octet-stream".to_owned();
    let items = BundleItem::folder(kind, "data", Path::new(data), media_type)?.into_iter();
    let items = items
        .map(|item| if item.path.starts_with("data/secret/") { item.sensitive() } else { item });
    let recipients =
        if recipients.is_empty() { None } else { Some(Recipients::parse(recipients)?) };
    let workers = std::thread::available_parallelism()?.get();
    let work = Work::quiet(workers);
    let sealed = sample::make(Path::new(out), items.collect(), recipients.as_ref(), &work)?;
    std::fs::write(key, format!("{}\n", evidence::key().verifying_key()))?;
    println!(
        "{}",
        serde_json::json!({
            "bundle": format!("sha256:{}", sealed.manifest_digest),
            "content_root": sealed.manifest.content_root,
            "tally": sealed.tally,
        })
    );
    Ok(())
}
