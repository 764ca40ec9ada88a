//! `bundle.import`: the contents of a bundle, or its papers alone, in a folder that is there only when
//! all of it is.

use std::path::Path;

use carnet_bundle::{Bundle, BundleLimits, unpack_contents};
use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::capability::BundleImport;
use carnet_model::portability::{BundleContent, MANIFEST_PATH};

use super::super::{Act, Capability, Probed};
use super::{at_a_free_place, identities, notes, place_of, remove};
use crate::error::StepError;
use crate::step::{Done, files, remove_made};

pub(in crate::capability) struct Import;

impl Capability for Import {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let import: BundleImport = act.inputs()?;
        let mut inputs = at_a_free_place(&act.cx.folder.join(&import.place), Code::FILE_EXISTS)?;
        let bundle = open(&act.cx.folder.join(&import.bundle))?;
        let digest = format!("sha256:{}", bundle.manifest_digest());
        inputs.insert("manifest_digest".to_owned(), digest.into());
        inputs.insert("content_root".to_owned(), bundle.manifest().content_root.into());
        Ok(inputs)
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let import: BundleImport = act.inputs()?;
        let place = place_of(inputs)?;
        let path = act.cx.folder.join(&import.bundle);
        let bundle = open(&path)?;
        let digest = format!("sha256:{}", bundle.manifest_digest());
        if inputs.get("manifest_digest") != Some(&digest.clone().into()) {
            let what = "the bundle is another one than was looked at";
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy("let nobody write to it, and run the plan again"));
        }
        files::make_folder(&files::folder_of(&place))?;
        // What an earlier attempt left was not recorded as whole.
        remove(&place)?;
        let identities = identities(act, import.identity.as_ref())?;
        let wanted = |content: &BundleContent| !import.papers || content.kind.is_paper();
        act.pass("bundle/placing")?;
        let unpacked =
            unpack_contents(&bundle, wanted, "", &place, identities.as_ref(), &act.cx.work)?;
        let manifest = bundle.manifest();
        files::replace(&place.join(MANIFEST_PATH), manifest.canonical().as_bytes())?;
        act.pass("bundle/placed")?;
        let mut done = Done::default()
            .fact("place", place.display().to_string())
            .fact("manifest_digest", digest)
            .fact("content_root", manifest.content_root)
            .count("files", unpacked.files)
            .count("bytes", unpacked.bytes);
        if !import.papers {
            for note in notes::imported(act, &place, &path, bundle.manifest_digest(), manifest)? {
                done = done.note(note);
            }
        }
        Ok(done)
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        remove(&place_of(inputs)?)?;
        remove_made(inputs);
        Ok(Vec::new())
    }
}

fn open(path: &Path) -> Result<Bundle, StepError> {
    Ok(Bundle::open(path, &BundleLimits::default())?)
}
