//! An image of a container is the one that it must be, with its entrypoints and without secrets.

use std::collections::BTreeSet;

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted, short};
use super::limits::{check_range, check_text};
use crate::workload::{ImageContents, ImageSecret, LayerPath, SecretSign};

/// The image and what is demanded of it. All its layers are read, whatever its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The folder of a layout of OCI, relative to the plan's folder.
    pub layout: String,
    /// The tag: `git-` and the id of a commit in 7 to 64 hexadecimal digits, unless `tag_form` says
    /// otherwise.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))]
    pub tag: String,
    /// What form the tag has. One that is known to move, such as `latest`, is never taken.
    #[serde(default)]
    pub tag_form: TagForm,
    /// The digest of its manifest, or of its index where it is for several machines.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Files that its layers must hold, from the root of the image. Links are not followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub entrypoints: Vec<String>,
    /// Paths that look like a secret and are none, such as a key of a test suite.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub no_secret: BTreeSet<String>,
    /// How many bytes its layers may have, decompressed; more is an error.
    #[serde(default = "layer_bytes_max")]
    #[schemars(range(min = 1))]
    pub layer_bytes_max: u64,
    /// How many entries its layers may have; more is an error.
    #[serde(default = "layer_files_max")]
    #[schemars(range(min = 1))]
    pub layer_files_max: u64,
}

/// The form of a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagForm {
    /// `git-` and the id of a commit.
    #[default]
    Git,
    /// Any that is not known to move.
    Any,
}

/// 32 GiB.
const fn layer_bytes_max() -> u64 {
    32 << 30
}

const fn layer_files_max() -> u64 {
    2_000_000
}

/// Tags that mean another image tomorrow.
const MOVING: [&str; 12] = [
    "latest", "main", "master", "stable", "edge", "dev", "develop", "nightly", "next", "current",
    "release", "prod",
];

/// The image as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The digests of the images with this tag; absent if there is no layout.
    pub tagged: Option<Vec<Digest>>,
    /// What is in its layers; absent if there is not exactly one.
    pub contents: Option<ImageContents>,
}

const REMEDY: &str = "build the image anew, or name the right one, and run again";

impl Rule {
    fn wanted(&self) -> Option<Digest> {
        self.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok())
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (layout, tag) = (&self.layout, &self.tag);
        let Some(tagged) = &facts.tagged else {
            return Judgement::no_data(0, format!("there is no image at {layout}"), REMEDY);
        };
        let wanted = self.wanted();
        match tagged.as_slice() {
            [] => {
                return Judgement::fail(1, format!("{layout} has no image tagged {tag}"), REMEDY);
            }
            [one] if Some(*one) == wanted => {}
            [one] => {
                let reason = format!("{tag} is sha256:{}…, not {}", short(*one), self.digest);
                return Judgement::fail(1, reason, REMEDY);
            }
            [_, _, ..] => {
                let reason = format!("{layout} has several images tagged {tag}");
                return Judgement::fail(1, reason, REMEDY);
            }
        }
        let Some(contents) = facts.contents.as_ref().filter(|it| it.files > 0) else {
            return Judgement::no_data(0, format!("{tag} holds no file"), REMEDY);
        };
        let files = usize::try_from(contents.files).unwrap_or(usize::MAX);
        if Some(contents.digest) != wanted {
            let reason = format!("what was read of {tag} has another digest than was demanded");
            return Judgement::fail(files, reason, REMEDY);
        }
        for path in &self.entrypoints {
            let why = match contents.paths.get(path) {
                Some(LayerPath::File) => continue,
                Some(LayerPath::Empty) => "is an empty file",
                Some(LayerPath::Other) => "is no plain file",
                Some(LayerPath::Missing) | None => "is missing",
            };
            return Judgement::fail(files, format!("the entrypoint {path} {why} in {tag}"), REMEDY);
        }
        if let Some(secret) = contents.secrets.iter().find(|it| !self.no_secret.contains(&it.path))
        {
            return Judgement::fail(files, secret_in(tag, secret), SECRET);
        }
        let told = counted(files, "file", "files");
        let layers = contents.layers;
        Judgement::pass(
            files,
            format!("{tag} is as demanded: {told} in {layers} layers, no secret"),
        )
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        copies.add("not_tagged", |facts| facts.tagged = Some(Vec::new()));
        copies.add("tagged_twice", |facts| {
            facts.tagged.iter_mut().for_each(|it| it.extend(it.clone()));
        });
        copies.add("tag_moved", |facts| {
            facts.tagged.iter_mut().flatten().for_each(|it| *it = flipped(*it));
        });
        copies.add("not_read", |facts| facts.contents = None);
        let mut add = |name, damage: &dyn Fn(&mut ImageContents)| {
            copies.add(name, |facts| facts.contents.iter_mut().for_each(damage));
        };
        add("digest_other", &|it| it.digest = flipped(it.digest));
        add("no_files", &|it| it.files = 0);
        for path in spots(self.entrypoints.len()).iter().filter_map(|it| self.entrypoints.get(*it))
        {
            let set = |contents: &mut ImageContents, at| {
                contents.paths.insert(path.clone(), at);
            };
            add("entrypoint_missing", &|it| set(it, LayerPath::Missing));
            add("entrypoint_not_looked_for", &|it| it.paths.retain(|it, _| it != path));
            add("entrypoint_no_file", &|it| set(it, LayerPath::Other));
            add("entrypoint_empty", &|it| set(it, LayerPath::Empty));
        }
        for sign in SecretSign::ALL {
            add("secret_in_a_layer", &|it| {
                let path = "carnet-canary".to_owned();
                it.secrets.push(ImageSecret { blob: it.digest, path, sign });
            });
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/layout", &self.layout);
        let git = self.tag.strip_prefix("git-").is_some_and(|id| {
            (7..=64).contains(&id.len())
                && id.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        });
        let lower = self.tag.to_ascii_lowercase();
        if MOVING.contains(&lower.as_str()) {
            let what = format!("the tag {} may mean another image tomorrow", self.tag);
            errors.push(InputError::new("/tag", what, "name the image by a tag that stays"));
        } else if self.tag_form == TagForm::Git && !git {
            let what = format!("the tag {} is not git-COMMIT", self.tag);
            let remedy = "tag the image by its commit, or write `tag_form: any`";
            errors.push(InputError::new("/tag", what, remedy));
        }
        for (number, path) in self.entrypoints.iter().enumerate() {
            let plain = !path.is_empty()
                && !path.ends_with('/')
                && path.trim_start_matches('/').split('/').all(|it| !matches!(it, "" | "." | ".."));
            if !plain {
                let what = format!("{path:?} is no path of a file");
                let pointer = format!("/entrypoints/{number}");
                errors.push(InputError::new(pointer, what, "write it from the root of the image"));
            }
        }
        errors.extend(check_range("/layer_bytes_max", self.layer_bytes_max, 1, 1 << 50));
        errors.extend(check_range("/layer_files_max", self.layer_files_max, 1, 1 << 32));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let entrypoints = counted(self.entrypoints.len(), "entrypoint", "entrypoints");
        format!("the image {} has its digest, {entrypoints} and no secret", self.tag)
    }
}

const SECRET: &str = "take it out of the layer that brings it (a later layer only hides it), build \
                      anew, and replace the secret; or name the path under no_secret";

fn secret_in(tag: &str, secret: &ImageSecret) -> String {
    let (path, sign, blob) = (&secret.path, secret.sign.name(), short(secret.blob));
    format!("{path} in {tag} looks like a secret ({sign}, in the blob {blob}…)")
}
