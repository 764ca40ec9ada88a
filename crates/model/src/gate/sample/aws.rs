//! Samples of the gates on services of AWS.

use carnet_ledger::Digest;
use serde_json::json;

use super::super::definition::Facts;
use super::super::{budget, registry_tag, secrets_absent, services};
use super::Sample;
use super::outside::{or_empty, sample};

const REGION: &str = "eu-west-2";
const NOW_S: i64 = 1_800_000_000;

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

pub(super) fn budgets() -> Vec<Sample> {
    let spend = |amount: &str, unit: &str| {
        let (amount, unit) = (amount.to_owned(), unit.to_owned());
        Some(budget::Spend { amount, unit })
    };
    let alert = |threshold: &str, threshold_type: &str| budget::Alert {
        kind: "ACTUAL".to_owned(),
        operator: "GREATER_THAN".to_owned(),
        threshold: threshold.to_owned(),
        threshold_type: Some(threshold_type.to_owned()),
    };
    let monthly = budget::Budget {
        kind: "COST".to_owned(),
        time_unit: "MONTHLY".to_owned(),
        limit: spend("30.0", "USD"),
        spent: spend("12.345", "USD"),
        health: None,
        is_filtered: false,
        // Leaving these out counts more.
        leaves_out: vec!["IncludeCredit".to_owned(), "IncludeRefund".to_owned()],
        starts_s: Some(NOW_S - 86_400),
        ends_s: Some(NOW_S + 1),
        alerts: ["28.0", "10.0", "20.0"].map(|at| alert(at, "ABSOLUTE_VALUE")).to_vec(),
    };
    let mut forecast = alert("50.0", "PERCENTAGE");
    "FORECASTED".clone_into(&mut forecast.kind);
    let quarterly = budget::Budget {
        time_unit: "QUARTERLY".to_owned(),
        limit: spend("99.5", "EUR"),
        spent: spend("-0.5", "EUR"),
        is_filtered: true,
        leaves_out: Vec::new(),
        starts_s: None,
        ends_s: None,
        health: Some("HEALTHY".to_owned()),
        alerts: vec![forecast, alert("50.0", "PERCENTAGE"), alert("33.3", "PERCENTAGE")],
        ..monthly.clone()
    };
    let facts = |budget: &budget::Budget| {
        Facts::Budget(budget::Facts { now_s: Some(NOW_S), budget: Some(budget.clone()) })
    };
    let with = json!({
        "account_id": "123456789012", "budget": "dev-min", "limit": {"amount": "30", "unit": "USD"},
        "alerts": {"at": ["10", "20", "28"]},
    });
    let parts = json!({
        "account_id": "123456789012", "budget": "dev-min", "limit": {"amount": "100", "unit": "EUR"},
        "time_unit": "QUARTERLY", "filtered": true, "alerts": {"type": "percentage", "at": ["33.3", "50"]},
    });
    let untold = budget::Budget { spent: None, ..monthly.clone() };
    let no_limit = budget::Budget { limit: None, ..quarterly.clone() };
    let samples = [
        or_empty(sample("budget", &with, facts(&monthly)), &facts(&untold)),
        or_empty(sample("budget", &parts, facts(&quarterly)), &facts(&no_limit)),
    ];
    samples.concat()
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
        "image_digest_told": false,
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
            facts(two, vec![task("archive", &[("archive", &image)]), task("ingest", &told[..1])]),
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
