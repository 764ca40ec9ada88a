//! What is taken, and that nothing else is passed over.

use proptest::prelude::*;

use super::super::definition::{DefinitionForm, Workload};
use super::*;

const GOOD: &str = "\
services:
  web:
    image: registry.example/team/web:1.2
    command: [httpd, -f, -p, 8080]
    environment: {GREETING: hello, PRICE: 5$$, COUNT: 3}
    ports: ['127.0.0.1:8080:80', '8443:443/tcp', '53:53/udp']
    volumes:
      - ./config/site:/www:ro
      - ./config/app.conf:/etc/app.conf:ro
    healthcheck:
      test: [CMD-SHELL, 'wget -q -O- http://127.0.0.1:8080/ || exit 1']
      interval: 1m30s
      timeout: 500ms
      retries: 2
";

fn read(text: &str) -> Result<Workload, Vec<Diagnostic>> {
    Workload::read(DefinitionForm::Compose, text)
}

fn refused(text: &str) -> Vec<(&'static str, usize)> {
    let findings = read(text).err().unwrap_or_default();
    findings.iter().map(|it| (it.code.name(), it.span.line)).collect()
}

#[test]
fn the_subset_is_read_in_full() {
    let Workload::Compose { service, stateful } = read(GOOD).unwrap() else { panic!() };
    assert_eq!((service.name.as_str(), stateful), ("web", Vec::new()));
    assert_eq!(service.command, ["httpd", "-f", "-p", "8080"]);
    assert_eq!(service.environment["PRICE"], "5$");
    assert_eq!(service.environment["COUNT"], "3");
    let ports: Vec<_> =
        service.ports.iter().map(|it| (it.address.as_deref(), it.outside, it.inside)).collect();
    assert_eq!(ports, [(Some("127.0.0.1"), 8080, 80), (None, 8443, 443), (None, 53, 53)]);
    let health = service.healthcheck.unwrap();
    assert_eq!((health.interval_ms, health.timeout_ms, health.retries), (90_000, 500, 2));
    let read = read(GOOD).unwrap();
    assert_eq!(read.images(), ["registry.example/team/web:1.2"]);
    assert_eq!(read.config_paths(), ["config/site", "config/app.conf"]);
}

#[test]
fn every_other_key_is_refused_by_name_on_its_line() {
    for key in [
        "privileged: true",
        "cap_add: [SYS_ADMIN]",
        "restart: always",
        "depends_on: [db]",
        "network_mode: host",
        "env_file: .env",
        "build: .",
        "entrypoint: [sh]",
        "user: root",
        "x-more: 1",
        "deploy: {replicas: 2}",
        "secrets: [a]",
        "extends: {service: a}",
    ] {
        let text = format!("{GOOD}    {key}\n");
        assert_eq!(refused(&text), [("workload.unsupported", 15)], "{key}");
        let name = key.split(':').next().unwrap();
        let told = read(&text).unwrap_err();
        assert!(told[0].message.contains(&format!("`{name}`")), "{}", told[0].message);
    }
    for key in ["networks: {}", "version: '3'", "include: [x]", "name: web"] {
        assert_eq!(refused(&format!("{GOOD}{key}\n")), [("workload.unsupported", 15)], "{key}");
    }
    let second = format!("{GOOD}  db: {{image: x}}\n");
    assert_eq!(refused(&second), [("workload.unsupported", 15)]);
    let health = GOOD.replace("retries: 2", "disable: true");
    assert_eq!(refused(&health), [("workload.unsupported", 14)]);
}

#[test]
fn what_would_differ_on_the_other_side_is_refused() {
    for (old, new, line, code) in [
        ("hello", "'${HOME}'", 5, "workload.unsupported"),
        ("{GREETING: hello, PRICE: 5$$, COUNT: 3}", "[HOME]", 5, "workload.unsupported"),
        ("{GREETING: hello, PRICE: 5$$, COUNT: 3}", "{A: null}", 5, "workload.malformed"),
        ("{GREETING: hello, PRICE: 5$$, COUNT: 3}", "{A: 1.50}", 5, "workload.malformed"),
        ("[httpd, -f, -p, 8080]", "sh -c 'a; b'", 4, "workload.unsupported"),
        ("'8443:443/tcp'", "'443'", 6, "workload.unsupported"),
        ("'8443:443/tcp'", "'8000-8010:443'", 6, "workload.unsupported"),
        ("'8443:443/tcp'", "{target: 1}", 6, "workload.malformed"),
        ("./config/site:/www:ro", "./config/site:/www", 8, "workload.unsupported"),
        ("./config/site:/www:ro", "./config/../../x:/www:ro", 8, "workload.unsupported"),
        ("./config/site:/www:ro", "./data:/www:ro", 8, "workload.unsupported"),
        ("./config/site:/www:ro", "/etc:/www:ro", 8, "workload.unsupported"),
        ("./config/site:/www:ro", "~/x:/www:ro", 8, "workload.unsupported"),
        ("./config/site:/www:ro", "./config/site:www:ro", 8, "workload.malformed"),
        ("1m30s", "soon", 12, "workload.malformed"),
        ("retries: 2", "retries: 0", 14, "workload.malformed"),
        ("image: registry", "image: $registry", 3, "workload.unsupported"),
    ] {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD, "{old}");
        assert_eq!(refused(&text), [(code, line)], "{new}");
    }
    for text in ["", "services:\n", "services: {}\n", "a: [", "services: {web: {}}", "- x\n"] {
        assert!(!refused(text).is_empty(), "{text:?}");
    }
}

#[test]
fn what_keeps_state_is_named_and_not_mounted() {
    let text = GOOD.replace("./config/site:/www:ro", "data:/var/lib/data")
        + "volumes:\n  data:\n  spare: {}\n";
    let read = read(&text).unwrap();
    let parts: Vec<_> = read
        .stateful_parts()
        .iter()
        .map(|it| (it.name.as_str(), it.mounted_at.as_deref(), it.line))
        .collect();
    assert_eq!(parts, [("data", Some("/var/lib/data"), 8), ("spare", None, 17)]);
    assert_eq!(read.config_paths(), ["config/app.conf"]);
    let anonymous = GOOD.replace("./config/site:/www:ro", "/var/lib/data");
    let read = super::super::definition::Workload::read(DefinitionForm::Compose, &anonymous);
    assert_eq!(read.unwrap().stateful_parts().len(), 1);
}

proptest! {
    #[test]
    fn a_damaged_file_is_read_or_refused_and_never_makes_it_panic(
        at in 0usize..600,
        new in "[-a-c:{}\\[\\]&*!'\"|>#$%@,~ \\n0-9/.é]{0,6}",
    ) {
        let at = GOOD.char_indices().map(|(at, _)| at).nth(at % GOOD.len()).unwrap_or(0);
        let mut text = GOOD.to_owned();
        text.insert_str(at, &new);
        match read(&text) {
            Ok(read) => prop_assert!(!read.images().is_empty()),
            Err(findings) => prop_assert!(!findings.is_empty()),
        }
    }
}
