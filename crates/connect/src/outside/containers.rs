//! Runtimes of containers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_model::workload::{Healthcheck, Mount, Port};

use crate::error::StoreError;

/// Which runtime runs containers, and where it keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlace {
    /// The program: a path, or a name that is looked for in the system's own folders.
    pub program: String,
    /// The folder with its images and containers; its own if nothing is said.
    pub storage: Option<PathBuf>,
    /// A `containers.conf` of its own.
    pub settings: Option<PathBuf>,
}

/// What runs as one: a container, or a pod of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A container of this name.
    Container(String),
    /// A pod of this name.
    Pod(String),
}

impl Unit {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Container(name) | Self::Pod(name) => name,
        }
    }
}

/// An image that a runtime holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldImage {
    /// The digest of its config, in hexadecimal: what the runtime calls it.
    pub id: String,
    /// The digest of its manifest, `sha256:…`, as the runtime has it.
    pub digest: String,
}

/// A container that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContainer {
    /// Its name.
    pub name: String,
    /// The id of its image, which the runtime holds.
    pub image: String,
    /// What is run; what the image says if it is empty.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The ports that it shows.
    pub ports: Vec<Port>,
    /// Files that it sees, read-only; their paths already made whole.
    pub mounts: Vec<Mount>,
    /// How its health is asked for.
    pub healthcheck: Option<Healthcheck>,
    /// What tells whose it is.
    pub labels: BTreeMap<String, String>,
}

/// How a container or a pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// Whether all of it runs.
    pub running: bool,
    /// Whether it never ran, or has ended: nothing of it runs.
    pub at_rest: bool,
    /// The word of the runtime.
    pub word: String,
    /// Its id there.
    pub id: String,
    /// The id of its image; empty for a pod.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its health can be asked for.
    pub has_healthcheck: bool,
}

/// An answer about health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it is well.
    pub well: bool,
    /// What the check said, cut.
    pub said: String,
}

/// A runtime of containers. Nothing is ever fetched from a registry. Names that the runtime does not
/// know are `None`, never an error. Each call has a time limit of its own, after which it fails with
/// `workload.failed`.
pub trait ContainerRuntime: Send + Sync {
    /// What it is and which version, in its own words.
    fn version(&self) -> Result<String, StoreError>;

    /// Loads an image from a folder in the layout of OCI that holds one, and gives it this name.
    /// Loading twice is as good as once.
    fn load(&self, layout: &Path, name: &str) -> Result<HeldImage, StoreError>;

    /// An image by its name or id.
    fn image(&self, name: &str) -> Result<Option<HeldImage>, StoreError>;

    /// Removes an image that nothing uses. Gives whether it was there; one that is in use stays.
    fn remove_image(&self, id: &str) -> Result<bool, StoreError>;

    /// Makes a container that does not run yet. `workload.exists` if the name is taken.
    fn create(&self, container: &NewContainer) -> Result<(), StoreError>;

    /// Makes a pod that does not run yet, of manifests of Kubernetes as JSON documents in a file.
    fn create_pod(&self, manifests: &Path) -> Result<(), StoreError>;

    /// Looks at it.
    fn look(&self, unit: &Unit) -> Result<Option<UnitState>, StoreError>;

    /// Starts it. What runs already is left alone.
    fn start(&self, unit: &Unit) -> Result<(), StoreError>;

    /// Stops it, by force when the time is over. What is at rest is left alone.
    fn stop(&self, unit: &Unit, within: Duration) -> Result<(), StoreError>;

    /// Removes what is at rest. Gives whether it was there.
    fn remove(&self, unit: &Unit) -> Result<bool, StoreError>;

    /// Asks for its health now.
    fn health(&self, unit: &Unit) -> Result<Health, StoreError>;

    /// The last that it wrote, cut.
    fn said(&self, unit: &Unit) -> Result<String, StoreError>;
}
