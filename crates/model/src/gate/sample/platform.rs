//! Samples of the gates on the parts of a platform.

use carnet_ledger::Digest;
use serde_json::json;

use super::super::definition::Facts;
use super::super::{consumer_lag, handles, image, terraform, topics};
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
    let parameters = json!({"registry": "handles.registry", "parameters": {
        "endpoint": "http://127.0.0.1:5000", "region": "eu-west-2", "path": "/carnet/dev_min",
    }});
    let more = format!("{shuffled}PATH=/bin\n");
    let samples = [
        sample("handles", &file, facts(registry, shuffled)),
        sample("handles", &parameters, facts(registry, shuffled)),
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

pub(super) fn terraform() -> Vec<Sample> {
    let seen = |state| {
        let seen = terraform::Seen { changes: None, state };
        Facts::Terraform(terraform::Facts { seen: Some(seen) })
    };
    let state = terraform::State {
        resources: [("aws_s3_bucket".to_owned(), 6), ("aws_ecs_service".to_owned(), 13)].into(),
        outputs: [("region".to_owned(), Some(json!("eu-west-2")))].into(),
    };
    let place = json!({"folder": "infra", "variables": {"env": "dev_min"}});
    let guarded = json!({
        "place": place, "forbidden": ["aws_nat_gateway", "aws_lb"],
        "outputs": {"region": "eu-west-2"},
    });
    let plain = json!({"place": place});
    let samples = [
        sample("terraform", &guarded, seen(state.clone())),
        sample("terraform", &plain, seen(state)),
    ];
    or_empty(samples.concat(), &seen(terraform::State::default()))
}

pub(super) fn topics() -> Vec<Sample> {
    let found = |count: i32, retention_ms| {
        Some(topics::Found { partitions: (0..count).collect(), retention_ms })
    };
    let servers = ["127.0.0.1:9092"];
    let with = json!({"servers": servers, "topics": {
        "bus.audit.v1": {"partitions": 1, "retention_ms": 259_200_000},
        "bus.control.v1": {"partitions": 1},
        "bus.traffic.v1": {"partitions": 3, "retention_ms": 86_400_000},
    }});
    let all = [
        ("bus.audit.v1".to_owned(), found(1, Some(259_200_000))),
        ("bus.control.v1".to_owned(), found(1, None)),
        ("bus.traffic.v1".to_owned(), found(3, Some(86_400_000))),
    ];
    sample("topics", &with, Facts::Topics(topics::Facts { topics: all.into() }))
}

pub(super) fn consumer_lags() -> Vec<Sample> {
    let facts = |told: &[(&str, i64, Option<i64>)]| {
        let partitions = told.iter().zip(0..).map(|((topic, end, committed), partition)| {
            let (topic, end, committed) = ((*topic).to_owned(), *end, *committed);
            consumer_lag::Partition { topic, partition, end, committed }
        });
        Facts::ConsumerLag(consumer_lag::Facts { partitions: partitions.collect() })
    };
    let rule = |at_most: u64, topics: &[&str]| json!({"servers": ["127.0.0.1:9092"], "group": "archive", "topics": topics, "at_most": at_most});
    let some = [("in", 200, Some(195)), ("in", 0, None), ("out", 7, Some(7)), ("out", 0, Some(0))];
    let samples = [
        sample("consumer_lag", &rule(10, &["in", "out"]), facts(&some)),
        sample("consumer_lag", &rule(0, &["out"]), facts(&[("out", 7, Some(7))])),
    ];
    let samples = or_empty(samples.concat(), &facts(&[("in", 0, None), ("out", 0, Some(0))]));
    or_empty(samples, &facts(&[("in", -1, None), ("out", -1, None)]))
}
