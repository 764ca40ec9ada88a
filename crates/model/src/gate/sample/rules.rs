//! Samples of the gates that ask policies, and compare who has authority.

use carnet_ledger::Digest;
use serde_json::json;

use super::super::definition::Facts;
use super::super::{authority, policy};
use super::Sample;
use super::outside::sample;
use crate::policy::{
    AuthorityKey, KeyStanding, NamedKey, PolicyAnswer, PolicyDecision, PolicyVerdict,
};

pub(super) fn policies() -> Vec<Sample> {
    let (snapshot, input) = (Digest::of(b"snapshot"), Digest::of(b"input"));
    let answered = |declared| {
        let answer = PolicyAnswer {
            snapshot,
            input,
            decision: PolicyDecision::bare(PolicyVerdict::Allow),
            rules: 7,
            problem: None,
            engine: "regorus 0.14.1".to_owned(),
            duration_us: 40,
        };
        let (snapshot, input, answer) = (Some(snapshot), Some(input), Some(Box::new(answer)));
        let evaluation = None;
        Facts::Policy(policy::Facts { declared, snapshot, input, answer, evaluation })
    };
    let named = json!({"policy": "policy", "snapshot": snapshot, "input": "input.json"});
    let declared = json!({
        "policy": "policy",
        "manifest": "bundle/manifest.json",
        "admission": {
            "bundle": "bundle",
            "target": {"name": "prod", "jurisdiction": "DE", "classifications": ["internal"]},
        },
    });
    let declared = sample("policy", &declared, answered(Some(snapshot)));
    [sample("policy", &named, answered(None)), declared].concat()
}

pub(super) fn authorities() -> Vec<Sample> {
    let snapshot = Digest::of(b"authority");
    let key = |principal: &str, key: &str| NamedKey {
        principal: principal.to_owned(),
        key: AuthorityKey(key.to_owned()),
        standing: KeyStanding::Known,
    };
    let keys = vec![
        key("ops@example.org", "openpgp 0123456789ABCDEF0123456789ABCDEF01234567"),
        key("jo@example.org", "openpgp 89ABCDEF0123456789ABCDEF0123456789ABCDEF"),
    ];
    let seen = |declared| {
        let (snapshot, keys) = (Some(snapshot), keys.clone());
        Facts::Authority(authority::Facts { declared, snapshot, keys })
    };
    let plain = json!({"authority": "authority.json", "trust": "trust/allowed_signers"});
    let named = json!({"authority": "a.json", "trust": "t", "snapshot": snapshot});
    let declared = json!({"authority": "a.json", "trust": "t", "manifest": "manifest.json"});
    [
        sample("authority", &plain, seen(None)),
        sample("authority", &named, seen(None)),
        sample("authority", &declared, seen(Some(snapshot))),
    ]
    .concat()
}
