//! What Terraform keeps is as it is written down, and holds nothing that must not be there.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::damaged::Copies;
use super::finding::{Judgement, counted};
use super::limits::check_text;
use crate::capability::TerraformPlace;

/// The configuration and what is demanded of it: its plan must be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The configuration: its folder, its variables, its program.
    pub place: TerraformPlace,
    /// Kinds of resources that the state must not hold, such as `aws_nat_gateway`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden: BTreeSet<String>,
    /// Outputs with the values that they must have. None may be sensitive: it would be recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
}

/// What Terraform said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its plan and its state; absent if it was not asked.
    pub seen: Option<Seen>,
}

/// A plan and a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What its plan would change, in its own words; absent if that is nothing.
    pub changes: Option<String>,
    /// Its state.
    pub state: State,
}

/// What a state holds. Of the resources only the kinds are kept: their attributes hold secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How many resources there are of each kind, in all modules.
    pub resources: BTreeMap<String, u64>,
    /// The outputs that were asked for; `null` stands for one that is sensitive.
    pub outputs: BTreeMap<String, Option<Value>>,
}

impl State {
    /// Reads what `terraform show -json` prints, with these outputs; `None` if it is no state.
    pub fn read(printed: &[u8], outputs: &BTreeMap<String, Value>) -> Option<Self> {
        let printed: Value = serde_json::from_slice(printed).ok()?;
        printed.get("format_version")?.as_str().filter(|it| it.starts_with("1."))?;
        let mut state = Self::default();
        let Some(values) = printed.get("values") else { return Some(state) };
        if let Some(root) = values.get("root_module") {
            state.module(root)?;
        }
        let held = values.get("outputs").and_then(Value::as_object);
        for (name, output) in held.into_iter().flatten().filter(|it| outputs.contains_key(it.0)) {
            let open = output.get("sensitive")? == &Value::Bool(false);
            let value = if open { Some(output.get("value")?.clone()) } else { None };
            state.outputs.insert(name.clone(), value);
        }
        Some(state)
    }

    fn module(&mut self, module: &Value) -> Option<()> {
        let list = |key: &str| match module.get(key) {
            Some(value) => value.as_array().cloned(),
            None => Some(Vec::new()),
        };
        for resource in list("resources")? {
            if resource.get("mode")?.as_str()? == "managed" {
                *self.resources.entry(resource.get("type")?.as_str()?.to_owned()).or_default() += 1;
            }
        }
        list("child_modules")?.iter().try_for_each(|child| self.module(child))
    }

    /// How many resources there are.
    pub fn count(&self) -> u64 {
        self.resources.values().sum()
    }
}

const REMEDY: &str = "correct the configuration or what it stands for, apply it, and run again";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let folder = &self.place.folder;
        let Some(seen) = &facts.seen else {
            return Judgement::no_data(0, format!("terraform was not asked in {folder}"), REMEDY);
        };
        let state = &seen.state;
        let count = usize::try_from(state.count()).unwrap_or(usize::MAX);
        if count == 0 {
            let reason = format!("the state of {folder} holds no resource");
            return Judgement::no_data(0, reason, REMEDY);
        }
        if let Some(changes) = &seen.changes {
            let reason = format!("the plan of {folder} is not empty: {changes}");
            return Judgement::fail(count, reason, REMEDY);
        }
        let held = |kind: &&String| state.resources.get(*kind).is_some_and(|count| *count > 0);
        if let Some(kind) = self.forbidden.iter().find(held) {
            let reason = format!("the state of {folder} holds {kind}, which is forbidden");
            return Judgement::fail(count, reason, REMEDY);
        }
        for (name, wanted) in &self.outputs {
            let why = match state.outputs.get(name) {
                Some(Some(value)) if value == wanted => continue,
                Some(Some(value)) => format!("is {value}, and must be {wanted}"),
                Some(None) => "is sensitive, and cannot be compared".to_owned(),
                None => "is missing".to_owned(),
            };
            let reason = format!("the output {name} of {folder} {why}");
            return Judgement::fail(count, reason, REMEDY);
        }
        let told = counted(count, "resource", "resources");
        let none = if self.forbidden.is_empty() { "" } else { ", none of a forbidden kind" };
        Judgement::pass(count, format!("the plan of {folder} is empty over {told}{none}"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| facts.seen = None);
        let mut add = |name, damage: &dyn Fn(&mut Seen)| {
            copies.add(name, |facts| facts.seen.iter_mut().for_each(damage));
        };
        add("plan_not_empty", &|it| it.changes = Some("1 to add".to_owned()));
        add("state_empty", &|it| it.state.resources.clear());
        for kind in &self.forbidden {
            add("forbidden_kind", &|it| it.state.resources.extend([(kind.clone(), 1)]));
        }
        for (name, wanted) in &self.outputs {
            let set = |seen: &mut Seen, value| drop(seen.state.outputs.insert(name.clone(), value));
            add("output_missing", &|it| drop(it.state.outputs.remove(name)));
            add("output_sensitive", &|it| set(it, None));
            add("output_other", &|it| set(it, Some(Value::Array(vec![wanted.clone()]))));
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/place/folder", &self.place.folder);
        for (number, kind) in self.forbidden.iter().enumerate() {
            let plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if kind.is_empty() || !kind.chars().all(plain) {
                let what = format!("{kind:?} is no kind of resource");
                let remedy = "write a type of Terraform, such as aws_nat_gateway";
                errors.push(InputError::new(format!("/forbidden/{number}"), what, remedy));
            }
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("the plan of {} is empty, and its state holds nothing forbidden", self.place.folder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_is_read_in_all_its_modules_and_without_secrets() {
        let one = |kind: &str, mode: &str| json!({"address": "a", "mode": mode, "type": kind, "values": {"password": "s3cret"}});
        let printed = json!({"format_version": "1.0", "terraform_version": "1.11.4", "values": {
            "outputs": {
                "url": {"sensitive": false, "value": "http://h", "type": "string"},
                "token": {"sensitive": true, "value": "s3cret", "type": "string"},
                "other": {"sensitive": false, "value": 1, "type": "number"},
            },
            "root_module": {
                "resources": [one("terraform_data", "managed"), one("aws_ami", "data")],
                "child_modules": [{"resources": [one("aws_lb", "managed")],
                    "child_modules": [{"resources": [one("aws_lb", "managed")]}]}],
            },
        }});
        let outputs = ["url", "token", "none"].map(|name| (name.to_owned(), Value::Null)).into();
        let read = |printed: &Value| State::read(printed.to_string().as_bytes(), &outputs);
        let state = read(&printed).unwrap();
        assert_eq!(
            state.resources,
            [("aws_lb".to_owned(), 2), ("terraform_data".to_owned(), 1)].into()
        );
        let told = [("url".to_owned(), Some(json!("http://h"))), ("token".to_owned(), None)];
        assert_eq!(state.outputs, told.into());
        assert!(!serde_json::to_string(&state).unwrap().contains("s3cret"));
        assert_eq!(read(&json!({"format_version": "1.0"})), Some(State::default()));
        for bad in [
            json!({}),
            json!({"format_version": "2.0"}),
            json!({"format_version": "1.0", "values": {"root_module": {"resources": {}}}}),
            json!({"format_version": "1.0", "values": {"root_module": {"resources": [{"mode": "managed"}]}}}),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
        assert_eq!(State::read(b"{", &outputs), None);
    }
}
