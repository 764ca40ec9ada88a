//! `carnet bundle unpack`.

use std::path::PathBuf;

use carnet_bundle::{Bundle, unpack_contents};
use carnet_model::portability::BundleContent;
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::{Limits, Opening};
use crate::amount;
use crate::command::Setting;
use crate::failure::Failure;

/// Write contents of a bundle into a new folder, each hashed on the way.
#[derive(Debug, Args)]
pub(super) struct Unpack {
    /// The bundle: its folder or its tar.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// The folder to write. It must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only the content at this path, or those under it. May be given more than once.
    #[arg(long = "only", value_name = "PATH")]
    only: Vec<String>,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Serialize)]
struct View {
    folder: String,
    #[serde(flatten)]
    unpacked: carnet_bundle::Unpacked,
}

impl Unpack {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let bundle = Bundle::open(&self.path, &self.limits.limits())?;
        let identities = self.opening.identities()?;
        let is_at = |content: &BundleContent, only: &String| {
            let only = only.trim_end_matches('/');
            let rest = content.path.strip_prefix(only);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let contents = &bundle.manifest().contents;
        let nowhere = |only: &&String| !contents.iter().any(|content| is_at(content, only));
        if let Some(path) = self.only.iter().find(nowhere) {
            let what = format!("the bundle has no content at {path:?}");
            return Err(Failure::new(Code::USAGE, what)
                .remedy("`carnet bundle inspect` lists the paths of its contents"));
        }
        let wanted = |content: &BundleContent| {
            self.only.is_empty() || self.only.iter().any(|only| is_at(content, only))
        };
        let progress = setting.progress();
        let work = setting.work(progress.as_ref());
        let unpacked = unpack_contents(&bundle, wanted, "", &self.out, identities.as_ref(), &work)?;
        drop(progress);
        let view = View { folder: self.out.display().to_string(), unpacked };
        setting.screen.show(&view, |view| {
            let files = amount::counted(view.unpacked.files, "file", "files");
            format!("{}: {files}, {}\n", view.folder, amount::bytes(view.unpacked.bytes))
        })?;
        Ok(Exit::Done)
    }
}
