//! The gates on the parts of a platform.

use std::path::Path;

use carnet_engine::{Surroundings, evaluate_outside};
use carnet_model::gate::{Definition, Verdict, read_rule};
use serde_json::{Value, json};

use super::{Error, Fail, NoData, Pass, says};

#[test]
fn handles_resolve_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let with = json!({"registry": "handles", "env_file": "run.env"});
    let says = |verdict, reason: &str| says(folder.path(), "handles", &with, verdict, reason);
    says(NoData, "there is no registry handles");
    write("handles", "# nothing is pinned yet\n");
    write("run.env", "S3_BUCKET=evidence\nLAG_MAX=10\n");
    says(NoData, "pins no handle");
    write("handles", "S3_BUCKET=evidence\nLAG_MAX=10\n");
    says(Pass, "2 handles resolve in run.env as handles pins them; control: an environment");
    write("run.env", "LAG_MAX=\"10\"\r\nexport S3_BUCKET='evidence'\r\n");
    says(Pass, "2 handles");
    write("run.env", "S3_BUCKET=evidence\nLAG_MAX=11\n");
    says(Fail, "LAG_MAX has another value");
    write("run.env", "S3_BUCKET=evidence\n");
    says(Fail, "LAG_MAX is missing");
    write("run.env", "S3_BUCKET=evidence\nLAG_MAX=10\nS3_BUCKET=other\n");
    says(Fail, "S3_BUCKET is set twice");
    write("run.env", "S3_BUCKET=evidence\nLAG_MAX=10\nPASSWORD=letmein\n");
    says(Fail, "PASSWORD is set in run.env and not known");
    std::fs::remove_file(folder.path().join("run.env")).unwrap();
    says(NoData, "nothing is set in run.env");
    write("run.env", &"#".repeat(1 << 21));
    says(Error, "is larger than");
}

/// What a gate saw is recorded, and what it saw of strangers is no business of the evidence.
#[test]
fn no_value_that_a_registry_does_not_know_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("handles"), "LAG_MAX=10\n").unwrap();
    std::fs::write(folder.path().join("run.env"), "LAG_MAX=10\nPASSWORD=letmein\n").unwrap();
    let with = json!({"registry": "handles", "env_file": "run.env", "others": true});
    let rule = read_rule("handles", &with).unwrap();
    let clock = crate::outside::SystemClock::new().unwrap();
    let (folder, outside, clock) = (folder.path(), &super::World, &clock);
    let around = Surroundings { folder, outside, clock };
    let (evaluation, seen) = evaluate_outside(&around, &Definition::new(rule));
    assert_eq!(evaluation.judgement.verdict, Verdict::Pass, "{evaluation:?}");
    let found = &serde_json::to_value(seen.unwrap()).unwrap()["facts"]["found"]["entries"];
    assert_eq!(found[1], json!({"name": "PASSWORD"}));
    assert!(found[0]["sha256"].is_string(), "{found}");
}

/// The world with the credentials of the store that the tests have.
#[cfg(feature = "s3")]
struct WithKeys;

#[cfg(feature = "s3")]
mod keys {
    use std::time::Duration;

    use carnet_connect::{
        Address, Certificate, CertificateRequest, HttpRequest, HttpResponse, Objects, Outside,
        SqlSession, StoreError,
    };
    use carnet_model::Secret;
    use carnet_model::policy::{PolicyAnswer, PolicyQuestion};

    use super::WithKeys;
    use crate::world::World;

    #[expect(clippy::disallowed_methods, reason = "the test command tells where the servers are")]
    pub(super) fn setting(name: &str) -> String {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set: run ./test, which starts the servers"))
    }

    impl Outside for WithKeys {
        fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError> {
            World.http(request)
        }
        fn connect(&self, address: &Address) -> Result<Duration, StoreError> {
            World.connect(address)
        }
        fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError> {
            World.certificate(request)
        }
        fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError> {
            World.sql(url)
        }
        fn objects(&self, url: &str) -> Result<Box<dyn Objects>, StoreError> {
            let keys = carnet_connectors::S3Keys {
                id: Some(Secret::new(setting("CARNET_TEST_S3_KEY"))),
                secret: Some(Secret::new(setting("CARNET_TEST_S3_SECRET"))),
                token: None,
            };
            carnet_connectors::open_objects(url, &keys)
        }
        fn policy(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
            World.policy(question)
        }
        fn secret(&self, name: &str) -> Option<Secret> {
            World.secret(name)
        }
    }
}

#[test]
#[cfg(feature = "s3")]
fn handles_resolve_in_an_object() {
    use carnet_connect::{Outside, PutIf};

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("handles"), "S3_BUCKET=evidence\nLAG_MAX=10\n").unwrap();
    let server = keys::setting("CARNET_TEST_S3");
    let url = format!("s3://carnet-test-one/handles-{}?endpoint={server}", std::process::id());
    let place = WithKeys.objects(&url).unwrap();
    let with = json!({"registry": "handles", "object": {"url": url, "key": "run.env"}});
    let says = |folder: &Path, with: &Value, verdict: Verdict, reason: &str| {
        let clock = crate::outside::SystemClock::new().unwrap();
        let around = Surroundings { folder, outside: &WithKeys, clock: &clock };
        let definition = Definition::new(read_rule("handles", with).unwrap());
        let (evaluation, _) = evaluate_outside(&around, &definition);
        let judgement = &evaluation.judgement;
        assert_eq!(judgement.verdict, verdict, "{judgement:?}");
        assert!(judgement.reason.contains(reason), "{judgement:?}");
        assert!(!evaluation.is_broken(), "{evaluation:?}");
    };
    says(folder.path(), &with, NoData, "nothing is set in run.env");
    let head = place.put("run.env", b"LAG_MAX=10\nS3_BUCKET=other\n", &PutIf::Absent).unwrap();
    says(folder.path(), &with, Fail, "S3_BUCKET has another value in run.env");
    let put = PutIf::Etag(head.etag);
    let head = place.put("run.env", b"LAG_MAX=10\nS3_BUCKET=evidence\n", &put).unwrap();
    says(folder.path(), &with, Pass, "2 handles resolve in run.env");
    assert!(place.delete("run.env", &head.etag).unwrap());
}
