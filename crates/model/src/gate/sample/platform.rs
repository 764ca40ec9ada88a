//! Samples of the gates on the parts of a platform.

use carnet_ledger::Digest;
use serde_json::json;

use super::super::definition::Facts;
use super::super::{handles, image};
use super::Sample;
use super::outside::{or_empty, sample};
use crate::workload::{ImageContents, ImageSecret, LayerPath, SecretSign};

pub(super) fn handles() -> Vec<Sample> {
    let listing = |text: &str| Some(handles::Listing::of(text.as_bytes()));
    let facts = |registry, found| {
        Facts::Handles(handles::Facts { registry: listing(registry), found: listing(found) })
    };
    let registry = "S3_BUCKET=evidence\nLAG_MAX=10\nTOPIC_AUDIT=bus.audit.v1\n";
    let shuffled = "export TOPIC_AUDIT='bus.audit.v1'\nS3_BUCKET=evidence\nLAG_MAX=\"10\"\n";
    let file = json!({"registry": "handles.registry", "env_file": "run.env"});
    let object = json!({
        "registry": "handles.registry", "handles": ["LAG_MAX"], "others": true,
        "object": {"url": "s3://b/config?endpoint=http://127.0.0.1:9000", "key": "run.env"},
    });
    let more = format!("{shuffled}PATH=/bin\n");
    let samples = [
        sample("handles", &file, facts(registry, shuffled)),
        sample("handles", &object, facts(registry, &more)),
    ];
    let samples = or_empty(samples.concat(), &facts("", shuffled));
    or_empty(samples, &facts(registry, "# nothing\n"))
}

pub(super) fn images() -> Vec<Sample> {
    let digest = Digest::of(b"image");
    let contents = |paths: &[&str], files| ImageContents {
        digest,
        machines: 1,
        layers: 2,
        files,
        paths: paths.iter().map(|it| ((*it).to_owned(), LayerPath::File)).collect(),
        secrets: Vec::new(),
    };
    let facts = |contents: ImageContents| {
        Facts::Image(image::Facts { tagged: Some(vec![digest]), contents: Some(contents) })
    };
    let named = format!("sha256:{digest}");
    let paths = ["app/ingest", "app/report", "app/seed"];
    let git = json!({
        "layout": "out/image", "tag": "git-4b825dc642cb", "digest": named, "entrypoints": paths,
    });
    let any = json!({
        "layout": "out/image", "tag": "v1.2.3", "tag_form": "any", "digest": named,
        "no_secret": ["usr/lib/test/id_rsa"],
    });
    let mut tested = contents(&[], 7);
    let path = "usr/lib/test/id_rsa".to_owned();
    tested.secrets.push(ImageSecret { blob: digest, path, sign: SecretSign::SshKeyFile });
    let samples =
        [sample("image", &git, facts(contents(&paths, 7))), sample("image", &any, facts(tested))];
    or_empty(samples.concat(), &facts(contents(&paths, 0)))
}
