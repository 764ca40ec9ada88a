//! Samples of the gates on services of AWS.

use carnet_ledger::Digest;
use serde_json::json;

use super::super::definition::Facts;
use super::super::{registry_tag, secrets_absent, services};
use super::Sample;
use super::outside::{or_empty, sample};

const REGION: &str = "eu-west-2";

pub(super) fn absent() -> Vec<Sample> {
    let facts = |names: &[&str]| {
        let names = names.iter().map(|it| (*it).to_owned()).collect();
        Facts::SecretsAbsent(secrets_absent::Facts { names })
    };
    let with = json!({
        "region": REGION, "path": "/carnet",
        "absent": ["demo/", "core/DB_PASSWORD"], "present": ["core/BUCKET", "core/TOPIC"],
    });
    let kept = facts(&["core/BUCKET", "core/TOPIC"]);
    or_empty(sample("secrets_absent", &with, kept), &facts(&["demo/DB_PASSWORD"]))
}

pub(super) fn tags() -> Vec<Sample> {
    let digest = Digest::of(b"image");
    let with = json!({
        "region": REGION, "repository": "platform", "tag": "git-4b825dc642cb",
        "digest": format!("sha256:{digest}"),
    });
    let repository =
        registry_tag::Repository { mutability: "IMMUTABLE".to_owned(), digest: Some(digest) };
    let facts = registry_tag::Facts { repository: Some(repository) };
    sample("registry_tag", &with, Facts::RegistryTag(facts))
}

pub(super) fn services() -> Vec<Sample> {
    let image = format!("sha256:{}", Digest::of(b"image"));
    let sidecar = format!("sha256:{}", Digest::of(b"sidecar"));
    let run = "platform_20260301T120000Z";
    let container = |name: &str, digest: &str| services::Container {
        name: name.to_owned(),
        image: format!("registry.example/{name}@{digest}"),
        environment: [("REQUIRED_PLATFORM_RUN_ID".to_owned(), Digest::of(run.as_bytes()))].into(),
    };
    let service = |name: &str, count: i64, launch_type: Option<&str>| services::Service {
        name: name.to_owned(),
        status: "ACTIVE".to_owned(),
        desired: count,
        running: count,
        pending: 0,
        launch_type: launch_type.map(str::to_owned),
        deployments: 1,
        definition: format!("{name}:7"),
        containers: vec![container(name, &image)],
    };
    let task = |name: &str, images: &[(&str, &str)]| services::Task {
        group: format!("service:{name}"),
        status: "RUNNING".to_owned(),
        launch_type: Some("FARGATE".to_owned()),
        definition: format!("{name}:7"),
        images: images.iter().map(|(at, it)| ((*at).to_owned(), (*it).to_owned())).collect(),
    };
    let facts = |services, tasks| {
        Facts::Services(services::Facts { cluster: Some(services::Cluster { services, tasks }) })
    };
    let plain = json!({
        "region": REGION, "cluster": "dev-min", "services": {"archive": {}, "ingest": {}},
        "image": image, "environment": {"REQUIRED_PLATFORM_RUN_ID": run},
    });
    let lenient = json!({
        "region": REGION, "cluster": "dev-min", "services": {"ingest": {"replicas": 2}},
        "image": image, "sidecars": {"log": sidecar}, "others": true,
    });
    let mut logged = service("ingest", 2, None);
    let log = container("log", &sidecar);
    logged.containers.push(services::Container { environment: [].into(), ..log });
    let told = [("ingest", image.as_str()), ("log", sidecar.as_str())];
    let fargate = Some("FARGATE");
    let two = vec![service("archive", 1, fargate), service("ingest", 1, fargate)];
    let samples = [
        sample(
            "services",
            &plain,
            facts(two, vec![task("archive", &[]), task("ingest", &told[..1])]),
        ),
        sample(
            "services",
            &lenient,
            facts(
                vec![service("other", 1, fargate), logged],
                vec![task("ingest", &told), task("ingest", &[])],
            ),
        ),
    ];
    or_empty(samples.concat(), &facts(Vec::new(), Vec::new()))
}
