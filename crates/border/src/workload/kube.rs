//! The subset of Kubernetes manifests that travels: one Pod or one Deployment of it, and
//! `ConfigMaps`. It is what `podman play kube` runs; no cluster is asked.

use carnet_document::Diagnostic;
use carnet_document::yaml::{Entry, Node, Value};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::definition::{StatefulKind, StatefulPart};
use super::reading::{Reading, value};

/// How many manifests one file may hold.
const DOCUMENTS_MAX: usize = 32;

/// Manifests that were read in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KubeWorkload {
    /// What the workload is.
    pub kind: KubeWorkloadKind,
    /// The name in its metadata.
    pub name: String,
    /// The images, each once.
    pub images: Vec<String>,
    /// What keeps state.
    pub stateful: Vec<StatefulPart>,
    /// All manifests as JSON, which is YAML too.
    pub manifests: Vec<Json>,
}

/// What a workload of Kubernetes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KubeWorkloadKind {
    /// A pod.
    Pod,
    /// A deployment of one pod.
    Deployment,
}

impl KubeWorkload {
    /// The pod that podman makes of it.
    pub fn pod(&self) -> String {
        match self.kind {
            KubeWorkloadKind::Pod => self.name.clone(),
            KubeWorkloadKind::Deployment => format!("{}-pod", self.name),
        }
    }
}

/// Keys that are taken, and what is below each.
enum Shape {
    /// A scalar, or a mapping of scalars.
    Plain,
    /// A list of scalars.
    Words,
    /// A mapping.
    Map(&'static [(&'static str, Shape)]),
    /// A list of mappings.
    List(&'static [(&'static str, Shape)]),
}

use Shape::{List, Map as Keys, Plain, Words};

const METADATA: Shape = Keys(&[("name", Plain), ("labels", Plain), ("namespace", Plain)]);
const KEY_REF: Shape = Keys(&[("name", Plain), ("key", Plain)]);
const EXEC: Shape = Keys(&[("command", Words)]);
const PROBE: Shape = Keys(&[
    ("exec", EXEC),
    ("periodSeconds", Plain),
    ("timeoutSeconds", Plain),
    ("failureThreshold", Plain),
    ("initialDelaySeconds", Plain),
]);
const CONTAINER: &[(&str, Shape)] = &[
    ("name", Plain),
    ("image", Plain),
    ("imagePullPolicy", Plain),
    ("command", Words),
    ("args", Words),
    ("workingDir", Plain),
    (
        "env",
        List(&[
            ("name", Plain),
            ("value", Plain),
            ("valueFrom", Keys(&[("configMapKeyRef", KEY_REF)])),
        ]),
    ),
    ("envFrom", List(&[("configMapRef", Keys(&[("name", Plain)]))])),
    (
        "ports",
        List(&[
            ("name", Plain),
            ("containerPort", Plain),
            ("hostPort", Plain),
            ("hostIP", Plain),
            ("protocol", Plain),
        ]),
    ),
    ("volumeMounts", List(&[("name", Plain), ("mountPath", Plain), ("readOnly", Plain)])),
    ("livenessProbe", PROBE),
];
const SPEC: Shape = Keys(&[
    ("containers", List(CONTAINER)),
    (
        "volumes",
        List(&[
            ("name", Plain),
            (
                "configMap",
                Keys(&[("name", Plain), ("items", List(&[("key", Plain), ("path", Plain)]))]),
            ),
            ("persistentVolumeClaim", Keys(&[("claimName", Plain), ("readOnly", Plain)])),
        ]),
    ),
    ("restartPolicy", Plain),
    ("hostNetwork", Plain),
]);
static POD: Shape =
    Keys(&[("apiVersion", Plain), ("kind", Plain), ("metadata", METADATA), ("spec", SPEC)]);
static DEPLOYMENT: Shape = Keys(&[
    ("apiVersion", Plain),
    ("kind", Plain),
    ("metadata", METADATA),
    (
        "spec",
        Keys(&[
            ("replicas", Plain),
            ("selector", Keys(&[("matchLabels", Plain)])),
            ("template", Keys(&[("metadata", METADATA), ("spec", SPEC)])),
        ]),
    ),
]);
static CONFIG_MAP: Shape =
    Keys(&[("apiVersion", Plain), ("kind", Plain), ("metadata", METADATA), ("data", Plain)]);

pub(super) fn read(text: &str) -> Result<KubeWorkload, Vec<Diagnostic>> {
    let mut reading = Reading::default();
    let documents = reading.documents(text, DOCUMENTS_MAX);
    let mut found = Found::default();
    for document in &documents {
        found.take(&mut reading, document);
    }
    let read = found.workload.map(|(kind, name)| KubeWorkload {
        kind,
        name,
        images: found.images,
        stateful: found.stateful,
        manifests: found.manifests,
    });
    reading.end(read, text)
}

#[derive(Default)]
struct Found {
    workload: Option<(KubeWorkloadKind, String)>,
    images: Vec<String>,
    stateful: Vec<StatefulPart>,
    manifests: Vec<Json>,
}

impl Found {
    fn take(&mut self, reading: &mut Reading, document: &Node) {
        let entries = reading.map(document, "a manifest");
        let Some(kind) = value(entries, "kind") else {
            return reading.missing(document.span, "kind", "a manifest");
        };
        let shape = match reading.text(kind, "`kind`").unwrap_or_default().as_str() {
            "Pod" => &POD,
            "Deployment" => &DEPLOYMENT,
            "ConfigMap" => &CONFIG_MAP,
            "PersistentVolumeClaim" => return self.claim(reading, entries, kind.span.line),
            other => {
                let what = format!("a manifest of the kind {other} is not taken");
                let remedy = "taken are Pod, Deployment and ConfigMap";
                return reading.unsupported(kind.span, what, remedy);
            }
        };
        let manifest = json(reading, document, shape, "the manifest");
        match shape {
            shape if std::ptr::eq(shape, &raw const POD) => {
                self.pod(reading, KubeWorkloadKind::Pod, document, value(entries, "spec"));
            }
            shape if std::ptr::eq(shape, &raw const DEPLOYMENT) => {
                let spec = value(entries, "spec").map(|it| reading.map(it, "`spec`"));
                one_replica(reading, spec);
                let template = spec.and_then(|it| value(it, "template"));
                let template = template.map(|it| reading.map(it, "`template`"));
                let spec = template.and_then(|it| value(it, "spec"));
                self.pod(reading, KubeWorkloadKind::Deployment, document, spec);
            }
            _ => {}
        }
        self.manifests.push(manifest);
    }

    fn claim(&mut self, reading: &mut Reading, entries: &[Entry], line: usize) {
        let metadata = value(entries, "metadata").map(|it| reading.map(it, "`metadata`"));
        let name = metadata.and_then(|it| value(it, "name"));
        let name = name.and_then(|it| reading.text(it, "`name`")).unwrap_or_default();
        self.keep(name, None, line);
    }

    fn keep(&mut self, name: String, mounted_at: Option<String>, line: usize) {
        match self.stateful.iter_mut().find(|it| it.name == name) {
            Some(known) => known.mounted_at = known.mounted_at.take().or(mounted_at),
            None => self.stateful.push(StatefulPart {
                kind: StatefulKind::VolumeClaim,
                name,
                mounted_at,
                line,
            }),
        }
    }

    fn pod(
        &mut self,
        reading: &mut Reading,
        kind: KubeWorkloadKind,
        document: &Node,
        spec: Option<&Node>,
    ) {
        let entries = reading.map(document, "the manifest");
        let metadata = value(entries, "metadata").map(|it| reading.map(it, "`metadata`"));
        let Some(name) = metadata.and_then(|it| value(it, "name")) else {
            return reading.missing(document.span, "name", "`metadata`");
        };
        if self.workload.is_some() {
            let remedy = "move each as a workload of its own";
            return reading.unsupported(name.span, "there is a second workload", remedy);
        }
        let name = reading.text(name, "`name`").unwrap_or_default();
        self.workload = Some((kind, name));
        let Some(spec) = spec else {
            return reading.missing(document.span, "spec", "the workload");
        };
        let spec = reading.map(spec, "`spec`");
        let containers = value(spec, "containers").map(|it| reading.list(it, "`containers`"));
        let mut mounts = Vec::new();
        for container in containers.unwrap_or_default() {
            let entries = reading.map(container, "a container");
            match value(entries, "image").and_then(|it| reading.text(it, "`image`")) {
                Some(image) if !self.images.contains(&image) => self.images.push(image),
                Some(_) => {}
                None => reading.missing(container.span, "image", "a container"),
            }
            let listed =
                value(entries, "volumeMounts").map(|it| reading.list(it, "`volumeMounts`"));
            mounts.extend(listed.unwrap_or_default());
        }
        if self.images.is_empty() {
            reading.malformed(document.span, "the workload has no containers", "add one");
        }
        let volumes = value(spec, "volumes").map(|it| reading.list(it, "`volumes`"));
        for volume in volumes.unwrap_or_default() {
            self.volume(reading, volume, &mounts);
        }
    }

    fn volume(&mut self, reading: &mut Reading, volume: &Node, mounts: &[&Node]) {
        let entries = reading.map(volume, "a volume");
        let Some(claim) = value(entries, "persistentVolumeClaim") else { return };
        let claim_entries = reading.map(claim, "`persistentVolumeClaim`");
        let text = |node: Option<&Node>| match node.map(|it| &it.value) {
            Some(Value::Text(text)) => Some(text.clone()),
            Some(_) | None => None,
        };
        let own = text(value(entries, "name"));
        let name = text(value(claim_entries, "claimName")).or_else(|| own.clone());
        let at = mounts.iter().find_map(|mount| {
            let Value::Map(mount) = &mount.value else { return None };
            let same = text(value(mount, "name")) == own;
            if same { text(value(mount, "mountPath")) } else { None }
        });
        self.keep(name.unwrap_or_default(), at, claim.span.line);
    }
}

fn one_replica(reading: &mut Reading, spec: Option<&[Entry]>) {
    if let Some(replicas) = spec.and_then(|it| value(it, "replicas"))
        && replicas.value != Value::Int(1)
    {
        let what = "more or fewer than one replica is asked for";
        reading.unsupported(replicas.span, what, "write 1: podman runs one");
    }
}

/// A node as JSON, with every key refused that the shape does not name.
fn json(reading: &mut Reading, node: &Node, shape: &Shape, whose: &str) -> Json {
    match shape {
        Shape::Plain => plain(reading, node, whose),
        Shape::Words => {
            let items = reading.list(node, whose);
            Json::Array(items.iter().map(|item| plain(reading, item, whose)).collect())
        }
        Shape::Map(keys) => {
            let mut map = Map::new();
            for entry in reading.map(node, whose) {
                let whose = format!("`{}`", entry.key);
                if let Some((_, shape)) = keys.iter().find(|(key, _)| *key == entry.key) {
                    map.insert(entry.key.clone(), json(reading, &entry.node, shape, &whose));
                } else {
                    let known: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
                    reading.key(entry, "a manifest", &known);
                }
            }
            Json::Object(map)
        }
        Shape::List(keys) => {
            let items = reading.list(node, whose);
            let shape = Shape::Map(keys);
            Json::Array(items.iter().map(|item| json(reading, item, &shape, whose)).collect())
        }
    }
}

fn plain(reading: &mut Reading, node: &Node, whose: &str) -> Json {
    match &node.value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(word) => (*word).into(),
        Value::Map(entries) => {
            let entries = entries.iter();
            let pairs = entries.map(|it| (it.key.clone(), plain(reading, &it.node, whose)));
            Json::Object(pairs.collect())
        }
        Value::Null | Value::Float(_) | Value::List(_) | Value::Refused => {
            reading.malformed(node.span, format!("{whose} is no text"), "write a text");
            Json::Null
        }
    }
}

#[cfg(test)]
mod tests;
