//! `carnet init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use carnet_model::plan::Plan;
use carnet_model::{Code, Exit, StoreUrl};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Setting;
use crate::cli::TypedStore;
use crate::failure::Failure;
use crate::findings::Findings;

/// Write a plan to start from; an existing file is never overwritten.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Knowledge(Knowledge),
}

/// A plan that moves a knowledge base.
#[derive(Debug, Args)]
struct Knowledge {
    /// The store that the knowledge leaves.
    #[arg(long, value_name = "STORE")]
    from: TypedStore,
    /// The store that it enters.
    #[arg(long, value_name = "STORE")]
    to: TypedStore,
    /// The folder with bpmn/, prompts/, patterns/, examples/, domains/ and logs/.
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// The plan file to write.
    #[arg(long, value_name = "FILE", default_value = "migration.yaml")]
    out: PathBuf,
    /// The name of the migration: a-z 0-9 and -.
    #[arg(long, default_value = "knowledge-move")]
    name: String,
    /// Who answers for it: a team or a person.
    #[arg(long, default_value = "data-platform")]
    owner: String,
}

#[derive(Serialize)]
struct Written {
    plan: String,
    migration: String,
}

impl Init {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let What::Knowledge(knowledge) = &self.what;
        let (from, to) = (knowledge.from.url()?, knowledge.to.url()?);
        let text = knowledge.text(&from, &to)?;
        let shown = knowledge.out.display().to_string();
        match Plan::open(&shown, &text) {
            Ok((_, warnings)) => setting.warn(&Findings::new(&shown, &text, warnings)),
            Err(rejected) => {
                return Err(Failure::new(rejected.code(), "these stores do not make a plan")
                    .changed("nothing was written")
                    .findings(Findings::new(&shown, &text, rejected.diagnostics)));
            }
        }
        write_new(&knowledge.out, &text)?;
        if [&from, &to]
            .iter()
            .any(|url| matches!(url, StoreUrl::Postgres(url) if url.has_password()))
        {
            setting.screen.say("note: passwords were left out of the plan; set PGPASSWORD");
        }
        let written = Written { plan: shown, migration: knowledge.name.clone() };
        setting.screen.show(&written, |written| {
            let plan = &written.plan;
            format!(
                "wrote {plan}\nnext: edit it, then `carnet check {plan}`, `carnet plan {plan}`\n"
            )
        })?;
        Ok(Exit::Done)
    }
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::io(format!("cannot write {}", path.display()), error);
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Failure::new(Code::USAGE, format!("{} exists", path.display()))
                .changed("nothing was written")
                .remedy("choose another file with --out"));
        }
        Err(error) => return Err(failed(error)),
    };
    file.write_all(text.as_bytes()).map_err(failed)
}

impl Knowledge {
    fn text(&self, from: &StoreUrl, to: &StoreUrl) -> Result<String, Failure> {
        let home = self.out.parent().unwrap_or(Path::new(""));
        let store = |url: &StoreUrl| Ok::<_, Failure>(quoted(&seen_from(home, url)?.to_string()));
        let path =
            |path: &Path| Ok::<_, Failure>(quoted(&path_from(home, path)?.display().to_string()));
        let artifacts = match &self.artifacts {
            Some(folder) => format!("\n    artifacts: {}", path(folder)?),
            None => "\n    # artifacts: knowledge   # a folder with bpmn/, prompts/, patterns/, …"
                .to_owned(),
        };
        let arrive = match &self.artifacts {
            Some(_) => "\n    artifacts: target-artifacts",
            None => "\n    # artifacts: target-artifacts",
        };
        Ok(template(&[
            ("name", &quoted(&self.name)),
            ("owner", &quoted(&self.owner)),
            ("from", &store(from)?),
            ("to", &store(to)?),
            ("artifacts", &artifacts),
            ("arrive", arrive),
        ]))
    }
}

const TEMPLATE: &str = r"# A migration of a knowledge base, as a plan. Paths start at the folder of this
# file. `carnet schema` describes every key; `carnet plan` shows what will happen.
carnet: v1
migration: <name>
owner: <owner>
# governance: { jurisdiction: DE, classification: internal, retention: P365D }
# evidence: { signer: keys/operator }   # made by `carnet key new keys/operator`

source:
  name: lab
  knowledge:
    store: <from><artifacts>
    # What a store of others does not declare; `carnet plan` says what is missing.
    # collections:
    #   embeddings:
    #     metric: cosine               # l2, inner_product or cosine
    #     normalisation: unit_length   # or none
    #     embedding_model: { name: sentence-transformers/all-MiniLM-L6-v2 }
target:
  name: prod
  knowledge:
    store: <to><arrive>

process: knowledge/v1
import: { mode: append }              # replace: the target holds what the source
                                      # holds; upsert: a higher version wins
# quiesce: { flag: pause_ingestion }  # writers pause while this file exists
# transfer: { inbox: inbox }          # where the snapshot arrives
validate: { queries: 20, k: 5 }       # searches that must agree on both sides
# accept_loss: [index]                # what may be lost, by name
# cutover:                            # point readers at the target
#   switch: { env_file: das.env, key: VECTOR_ENDPOINT }
# decommission: { archive: archive }  # keep the snapshot, read-only
";

/// The template with each `<word>` that is given replaced, once and in one pass.
fn template(words: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (word, after) = after.split_once('>').unwrap_or(("", after));
        text.push_str(words.iter().find(|(name, _)| *name == word).map_or("", |(_, text)| text));
        rest = after;
    }
    text + rest
}

/// A text in quotes, as YAML and JSON write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A store, its path seen from the plan's folder.
fn seen_from(home: &Path, url: &StoreUrl) -> Result<StoreUrl, Failure> {
    Ok(match url {
        StoreUrl::Faiss(path) => StoreUrl::Faiss(path_from(home, path)?),
        StoreUrl::Sqlite(path) => StoreUrl::Sqlite(path_from(home, path)?),
        StoreUrl::Snapshot(path) => StoreUrl::Snapshot(path_from(home, path)?),
        StoreUrl::Postgres(url) => StoreUrl::Postgres(url.clone()),
    })
}

/// A path given from here, seen from the folder `home`. Absolute paths stay.
fn path_from(home: &Path, path: &Path) -> Result<PathBuf, Failure> {
    if path.is_absolute() || home.as_os_str().is_empty() {
        return Ok(path.to_owned());
    }
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Failure::io(format!("cannot find {}", path.display()), error))
    };
    let (home, path) = (absolute(home)?, absolute(path)?);
    if home.components().any(|part| part == Component::ParentDir) {
        return Ok(path);
    }
    let shared = home.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = home.components().skip(shared).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(path.components().skip(shared)).collect();
    Ok(if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_folder_of_the_plan() {
        for (home, path, seen) in [
            ("", "a/b", "a/b"),
            ("plans", "a/b", "../a/b"),
            ("plans", "plans/kb", "kb"),
            ("plans/x", "plans", ".."),
            ("plans", "/abs", "/abs"),
            ("plans", "plans", "."),
        ] {
            assert_eq!(path_from(Path::new(home), Path::new(path)).unwrap(), Path::new(seen));
        }
    }
}
