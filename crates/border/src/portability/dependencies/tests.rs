use serde_json::json;

use super::*;

fn manifest() -> Value {
    json!({
        "version": DEPENDENCIES_VERSION,
        "service_id": "shop",
        "dependencies": [
            {"id": "runtime", "what": "a runtime of OCI images", "version": "1.1", "critical": true,
             "substitutable": true, "alternative": "podman, containerd"},
            {"id": "mail", "what": "the mail relay of the provider", "version": "2", "provider": "acme",
             "critical": true, "substitutable": false, "facet": "behavioural",
             "accepted": {"accepted_by": "ops", "compensation": "mail is queued for three days"}},
            {"id": "fonts", "what": "licensed fonts", "version": "7", "critical": false,
             "substitutable": false, "facet": "application_policy", "alternative": "free fonts"},
        ],
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Result<DependencyManifest, Vec<InputError>> {
    let mut value = manifest();
    change(&mut value);
    DependencyManifest::read(value.to_string().as_bytes())
}

fn event() -> Shown {
    Shown::Event { sequence: 3, event_type: "dependency.graph.publish".to_owned() }
}

/// The invariants that are violated.
fn violated(manifest: &DependencyManifest, published: Option<Shown>) -> Vec<Invariant> {
    let lines = manifest.assess(published);
    assert_eq!(lines.len(), 4);
    lines.into_iter().filter(|it| it.standing.is_violated()).map(|it| it.invariant).collect()
}

#[test]
fn a_whole_manifest_satisfies_all_four() {
    let read = with(|_| {}).unwrap();
    let lines = read.assess(Some(event()));
    assert!(lines.iter().all(|it| it.standing.name() == "satisfied"), "{lines:?}");
    assert_eq!(DependencyManifest::read(&read.to_bytes()).unwrap(), read);
    assert_eq!(Digest::of(&read.to_bytes()), read.digest());
}

#[test]
fn each_invariant_can_be_violated() {
    let all = with(|_| {}).unwrap();
    assert_eq!(violated(&all, None), [Invariant::Dep04]);
    let none_critical = with(|it| {
        for at in 0..3 {
            it["dependencies"][at]["critical"] = json!(false);
        }
    });
    assert_eq!(violated(&none_critical.unwrap(), Some(event())), [Invariant::Dep01]);
    let undeclared = with(|it| {
        it["dependencies"][2].as_object_mut().unwrap().remove("alternative");
    });
    assert_eq!(violated(&undeclared.unwrap(), Some(event())), [Invariant::Dep02]);
    let empty_word = with(|it| {
        it["dependencies"][0].as_object_mut().unwrap().remove("alternative");
    });
    assert_eq!(violated(&empty_word.unwrap(), Some(event())), [Invariant::Dep02]);
    // An alternative does not take the place of an acceptance on the critical path.
    let held = with(|it| {
        let mail = it["dependencies"][1].as_object_mut().unwrap();
        mail.remove("accepted");
        mail.insert("alternative".to_owned(), json!("another relay, some day"));
    });
    assert_eq!(violated(&held.unwrap(), Some(event())), [Invariant::Dep03]);
}

#[test]
fn none_must_be_explained_and_then_applies_to_none() {
    let empty = with(|it| it["dependencies"] = json!([])).unwrap_err();
    assert_eq!(empty[0].pointer, "/dependencies");
    let both = with(|it| it["none_because"] = json!("x")).unwrap_err();
    assert_eq!(both[0].pointer, "/none_because");
    let explained = with(|it| {
        it["dependencies"] = json!([]);
        it["none_because"] = json!("evidence alone is read by anything");
    });
    let lines = explained.unwrap().assess(Some(event()));
    let names: Vec<_> = lines.iter().map(|it| it.standing.name()).collect();
    assert_eq!(names, ["not applicable", "not applicable", "not applicable", "satisfied"]);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let errors = with(|it| {
        it["version"] = json!("carnet-dependencies-2");
        it["dependencies"][0]["facet"] = json!("colour");
        it["dependencies"][1]["versoin"] = json!("2");
        it["dependencies"][2].as_object_mut().unwrap().remove("what");
    })
    .unwrap_err();
    let places: BTreeSet<_> = errors.iter().map(|it| it.pointer.as_str()).collect();
    let wanted =
        ["/version", "/dependencies/0/facet", "/dependencies/1/versoin", "/dependencies/2"];
    assert_eq!(places, BTreeSet::from(wanted), "{errors:?}");
    let errors = with(|it| {
        it["dependencies"][1]["id"] = json!("runtime");
        it["dependencies"][2].as_object_mut().unwrap().remove("facet");
    })
    .unwrap_err();
    let places: Vec<_> = errors.iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(places, ["/dependencies/1/id", "/dependencies/2"]);
    assert!(errors.iter().all(|it| !it.remedy.is_empty()));
    let twice =
        br#"{"service_id": "a", "service_id": "b", "dependencies": [], "none_because": "x"}"#;
    assert!(DependencyManifest::read(twice).is_err());
}
