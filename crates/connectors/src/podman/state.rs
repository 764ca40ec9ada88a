//! What podman says of its containers, pods and images.

use std::collections::BTreeMap;

use carnet_connect::{HeldImage, StoreError, UnitState};
use carnet_model::Code;
use serde::Deserialize;

/// States in which nothing of a container runs.
const AT_REST: [&str; 5] = ["configured", "created", "initialized", "stopped", "exited"];
/// The same of a pod.
const POD_AT_REST: [&str; 3] = ["Created", "Exited", "Stopped"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    id: String,
    #[serde(default)]
    image: String,
    state: Running,
    config: Config,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    mounts: Vec<Mounted>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Running {
    status: String,
    running: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    healthcheck: Option<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(default)]
    test: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    network_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mounted {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    name: String,
}

impl Container {
    pub(super) fn state(self) -> UnitState {
        let check = self.config.healthcheck.map(|it| it.test).unwrap_or_default();
        UnitState {
            running: self.state.running,
            at_rest: AT_REST.contains(&self.state.status.as_str()),
            word: self.state.status,
            id: self.id,
            image: self.image,
            labels: self.config.labels.unwrap_or_default(),
            has_healthcheck: check.first().is_some_and(|it| it != "NONE"),
        }
    }

    /// Whether it shares the network of the machine.
    pub(super) fn host_network(&self) -> bool {
        self.host_config.network_mode == "host"
    }

    /// Whether its health is asked for in these words.
    pub(super) fn has_test(&self, asked: &[String]) -> bool {
        let test = self.config.healthcheck.as_ref().map(|it| it.test.as_slice());
        match (test, asked) {
            (Some(test), asked) if test == asked => true,
            // One word without a shell is run by the shell: the same thing.
            (Some([kind, line]), [cmd, word]) => {
                kind == "CMD-SHELL" && cmd == "CMD" && line == word
            }
            (Some(_) | None, _) => false,
        }
    }

    /// The volumes that it was given.
    pub(super) fn volumes(self) -> impl Iterator<Item = String> {
        self.mounts.into_iter().filter(|it| it.kind == "volume").map(|it| it.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pod {
    id: String,
    state: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "InfraContainerID", default)]
    infra: String,
    #[serde(default)]
    containers: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::new(Code::WORKLOAD_FAILED, "the runtime answers in a form that is not known")
        .because(error)
        .remedy("use podman 4.3 or newer")
}

fn first<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, StoreError> {
    let listed: Vec<T> = serde_json::from_slice(text).map_err(unreadable)?;
    let nothing = || StoreError::new(Code::WORKLOAD_FAILED, "the runtime answers with nothing");
    listed.into_iter().next().ok_or_else(nothing)
}

pub(super) fn container(text: &[u8]) -> Result<Container, StoreError> {
    first(text)
}

pub(super) fn pod(text: &[u8]) -> Result<UnitState, StoreError> {
    let pod = read_pod(text)?;
    Ok(UnitState {
        running: pod.state == "Running",
        at_rest: POD_AT_REST.contains(&pod.state.as_str()),
        word: pod.state,
        id: pod.id,
        image: String::new(),
        labels: pod.labels.unwrap_or_default(),
        has_healthcheck: false,
    })
}

pub(super) fn members(text: &[u8]) -> Result<Vec<String>, StoreError> {
    let Pod { infra, containers, .. } = read_pod(text)?;
    Ok(containers.into_iter().map(|it| it.id).filter(|id| *id != infra).collect())
}

/// Newer versions answer with a list, as for containers.
fn read_pod(text: &[u8]) -> Result<Pod, StoreError> {
    if text.trim_ascii_start().starts_with(b"[") {
        return first(text);
    }
    serde_json::from_slice(text).map_err(unreadable)
}

pub(super) fn image(text: &[u8]) -> Result<HeldImage, StoreError> {
    let Image { id, digest, .. } = first(text)?;
    Ok(HeldImage { id, digest })
}

pub(super) fn tags(text: &[u8]) -> Result<Vec<String>, StoreError> {
    Ok(first::<Image>(text)?.repo_tags.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As podman 4.3.1 writes it, cut.
    const CONTAINER: &str = r#"[{"Id": "c1", "Image": "i1",
        "State": {"Status": "running", "Running": true, "Pid": 5530},
        "Config": {"Labels": {"carnet-placed": "k"}, "Healthcheck": {"Test": ["CMD", "wget", "-q"]}},
        "HostConfig": {"NetworkMode": "host"},
        "Mounts": [{"Type": "volume", "Name": "settings"}, {"Type": "bind", "Source": "/x"}]}]"#;

    #[test]
    fn what_it_says_is_understood() {
        let one = container(CONTAINER.as_bytes()).unwrap();
        assert!(one.host_network() && one.has_test(&["CMD", "wget", "-q"].map(str::to_owned)));
        assert!(!one.has_test(&["CMD", "wget"].map(str::to_owned)));
        let state = one.state();
        assert!(state.running && !state.at_rest && state.has_healthcheck);
        assert_eq!(state.labels["carnet-placed"], "k");
        let volumes: Vec<_> = container(CONTAINER.as_bytes()).unwrap().volumes().collect();
        assert_eq!(volumes, ["settings"]);
        let exited = CONTAINER.replace("\"running\"", "\"exited\"").replace("true", "false");
        assert!(container(exited.as_bytes()).unwrap().state().at_rest);
        for text in ["", "{}", "[]", "[{\"Id\": \"x\"}]"] {
            assert!(container(text.as_bytes()).is_err(), "{text}");
        }
        let text = br#"{"Id": "p", "State": "Degraded", "Labels": null, "InfraContainerID": "a",
            "Containers": [{"Id": "a"}, {"Id": "b"}]}"#;
        let read = pod(text).unwrap();
        assert!(!read.running && !read.at_rest);
        assert_eq!(members(text).unwrap(), ["b"]);
        let listed = [b"[".as_slice(), text, b"]"].concat();
        assert_eq!(pod(&listed).unwrap(), read);
        let image = br#"[{"Id": "i", "Digest": "sha256:0", "RepoTags": ["localhost/a:latest"]}]"#;
        assert_eq!(tags(image).unwrap(), ["localhost/a:latest"]);
    }
}
