//! What a workload is, whatever form its definition has.

use std::collections::BTreeMap;
use std::fmt;

use carnet_document::Diagnostic;
use serde::Serialize;

use super::kube::KubeWorkload;

/// The folder beside a definition whose files travel with it, and which alone may be mounted.
pub const CONFIG_FOLDER: &str = "config";
/// The longest definition in bytes.
pub const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// In which form a definition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionForm {
    /// `compose.yaml`, of which a subset is taken.
    Compose,
    /// `kube.yaml`: manifests that `podman play kube` takes, of which a subset is taken.
    Kube,
}

impl DefinitionForm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Compose, Self::Kube];

    /// Its path in a bundle.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Compose => "workload/compose.yaml",
            Self::Kube => "workload/kube.yaml",
        }
    }

    /// The name of the file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Compose => "compose.yaml",
            Self::Kube => "kube.yaml",
        }
    }
}

/// A definition that was read in full.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// One service of a compose file, and the state that it keeps.
    Compose {
        /// The service.
        service: Box<Service>,
        /// What cannot move.
        stateful: Vec<StatefulPart>,
    },
    /// Manifests of Kubernetes.
    Kube(Box<KubeWorkload>),
}

impl Workload {
    /// Reads a definition. All that is wrong with it is told, each with its line.
    pub fn read(form: DefinitionForm, text: &str) -> Result<Self, Vec<Diagnostic>> {
        match form {
            DefinitionForm::Compose => super::compose::read(text),
            DefinitionForm::Kube => super::kube::read(text).map(|it| Self::Kube(Box::new(it))),
        }
    }

    /// The images that it needs, in the words of the definition, each once.
    pub fn images(&self) -> Vec<&str> {
        match self {
            Self::Compose { service, .. } => vec![service.image.as_str()],
            Self::Kube(kube) => kube.images.iter().map(String::as_str).collect(),
        }
    }

    /// What of it keeps state that does not travel in a bundle. Who claims to move such a workload
    /// must refuse it, and name another way for the data.
    pub fn stateful_parts(&self) -> &[StatefulPart] {
        match self {
            Self::Compose { stateful, .. } => stateful,
            Self::Kube(kube) => &kube.stateful,
        }
    }

    /// The paths that it mounts, in the folder [`CONFIG_FOLDER`]: files, or folders of files.
    pub fn config_paths(&self) -> Vec<&str> {
        match self {
            Self::Compose { service, .. } => {
                service.mounts.iter().map(|mount| mount.from.as_str()).collect()
            }
            Self::Kube(_) => Vec::new(),
        }
    }
}

/// A part of a workload that keeps state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatefulPart {
    /// What it is.
    pub kind: StatefulKind,
    /// Its name: of the volume or of the claim.
    pub name: String,
    /// Where the workload has it, if it says so.
    pub mounted_at: Option<String>,
    /// The line of the definition.
    pub line: usize,
}

/// What keeps state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatefulKind {
    /// A volume of the runtime, or a claim on storage of the provider.
    VolumeClaim,
}

impl StatefulKind {
    /// The word in claims and refusals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VolumeClaim => "volume_claim",
        }
    }
}

impl fmt::Display for StatefulKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its name in the definition.
    pub name: String,
    /// The image, as it is named.
    pub image: String,
    /// What is run; what the image says if it is empty.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The ports that it shows.
    pub ports: Vec<Port>,
    /// The files that it is given, read-only.
    pub mounts: Vec<Mount>,
    /// How its health is asked for.
    pub healthcheck: Option<Healthcheck>,
}

/// A port that is shown outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The address outside; all addresses if nothing is said.
    pub address: Option<String>,
    /// The port outside.
    pub outside: u16,
    /// The port of the container.
    pub inside: u16,
    /// What is spoken.
    pub protocol: Protocol,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As podman writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A file or folder of [`CONFIG_FOLDER`] that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Its path from the folder of the definition: `config/…`.
    pub from: String,
    /// Its absolute path in the container.
    pub to: String,
}

/// How health is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// `CMD` and what is run, or `CMD-SHELL` and one line for the shell of the image.
    pub test: Vec<String>,
    /// Milliseconds from one to the next.
    pub interval_ms: u64,
    /// Milliseconds that one may take.
    pub timeout_ms: u64,
    /// How many must fail in a row.
    pub retries: u32,
    /// Milliseconds after the start in which failures do not count.
    pub start_period_ms: u64,
}
