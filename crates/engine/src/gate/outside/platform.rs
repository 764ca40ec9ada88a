//! The parts of a platform: handles, images, and what Terraform keeps.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use carnet_bundle::{LookLimits, canary_secret, look_into_layout, tagged_so};
use carnet_model::Code;
use carnet_model::gate::handles::{self, HANDLES_BYTES_MAX, Listing};
use carnet_model::gate::{CANARY, Facts, Rule, image, terraform};

use super::{Looked, Surroundings, judged};
use crate::capability::terraform::Terraform;
use crate::error::StepError;

/// Reads the registry, and what is set where its handles must resolve.
pub(super) fn handles(
    around: &Surroundings<'_>,
    rule: &handles::Rule,
) -> Result<Looked, StepError> {
    let registry = small(&around.path(&rule.registry))?.map(|bytes| Listing::of(&bytes));
    let of_bytes = |bytes: Vec<u8>| Listing::of(&bytes);
    let found = match (&rule.env_file, &rule.object, &rule.parameters) {
        (Some(file), ..) => small(&around.path(file))?.map(of_bytes),
        (None, Some(object), _) => {
            let objects = around.outside.objects(&object.url)?;
            if objects.head(&object.key)?.is_some() {
                let mut bytes = Vec::new();
                objects.get(&object.key, HANDLES_BYTES_MAX, &mut bytes)?;
                Some(of_bytes(bytes))
            } else {
                None
            }
        }
        (None, None, Some(at)) => Some(super::aws::values(around, at)?),
        (None, None, None) => None,
    };
    let known = |found: Listing| found.known_to(&registry.clone().unwrap_or_default());
    let canary = handles::Facts {
        registry: registry.clone(),
        found: Some(known(Listing::of(b"CARNET_CANARY=canary\n"))),
    };
    let facts = handles::Facts { found: found.map(known), registry };
    let what = "an environment with other handles";
    let control = judged(CANARY, what, &Rule::Handles(rule.clone()), &Facts::Handles(canary));
    Ok(Looked::new(Facts::Handles(facts)).control(control))
}

/// Reads the image with its tag, and the canary: a layer with a secret, through the same search.
pub(super) fn image(around: &Surroundings<'_>, rule: &image::Rule) -> Result<Looked, StepError> {
    let layout = around.path(&rule.layout);
    let mut facts = image::Facts::default();
    if layout.exists() {
        let tagged = tagged_so(&layout, &rule.tag)?;
        if tagged.len() == 1 {
            let limits = LookLimits { bytes: rule.layer_bytes_max, files: rule.layer_files_max };
            let look = look_into_layout(&layout, &rule.tag, &rule.entrypoints, limits)?;
            facts.contents = Some(look);
        }
        facts.tagged = Some(tagged);
    }
    let mut canary = facts.clone();
    let secret = canary_secret()?;
    canary.contents.iter_mut().for_each(|it| it.secrets.extend(secret.clone()));
    let what = "a layer with a private key";
    let control = judged(CANARY, what, &Rule::Image(rule.clone()), &Facts::Image(canary));
    Ok(Looked::new(Facts::Image(facts)).control(control))
}

/// Asks for a plan and for the state. Neither takes the lock, and neither is kept.
pub(super) fn terraform(
    around: &Surroundings<'_>,
    rule: &terraform::Rule,
) -> Result<Looked, StepError> {
    let folder = around.path(&rule.place.folder);
    let asked = Terraform::new(around.outside, &rule.place, folder)?;
    let state = asked.state(&rule.outputs)?;
    // A plan over an empty state tells what nobody asked for.
    let changes = if state.count() > 0 { asked.changes()? } else { None };
    let facts = terraform::Facts { seen: Some(terraform::Seen { changes, state }) };
    Ok(Looked::new(Facts::Terraform(facts)))
}

/// A small file; `None` if there is none.
fn small(path: &Path) -> Result<Option<Vec<u8>>, StepError> {
    let failed = |error| StepError::io("read", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(HANDLES_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > HANDLES_BYTES_MAX {
        let what = format!("{} is larger than {HANDLES_BYTES_MAX} bytes", path.display());
        return Err(StepError::new(Code::STORE_UNSUPPORTED, what).remedy("name a smaller file"));
    }
    Ok(Some(bytes))
}
