//! `s3.copy`: object by object, each remembered before and after, and copied by the service itself.

use std::collections::BTreeMap;

use carnet_connect::{ObjectHead, Objects};
use carnet_ledger::{Digest, Object};
use carnet_model::Code;
use carnet_model::capability::S3Copy;
use serde::{Deserialize, Serialize};

use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, digest_of, number, text_of};
use carnet_process::{PartState, PartStatus, RunState};

pub(super) struct Copy;

/// The most objects that one step copies.
const OBJECTS_MAX: usize = 100_000;

/// What is copied: fixed before the first copy.
#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    objects: Vec<Planning>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Planning {
    key: String,
    bytes: u64,
    etag: String,
    sha256: Option<String>,
}

impl Planning {
    fn head(&self) -> ObjectHead {
        let sha256 = self.sha256.as_ref().and_then(|text| text.parse::<Digest>().ok());
        let sha256 = sha256.map(|digest| *digest.as_bytes());
        ObjectHead { bytes: self.bytes, etag: self.etag.clone(), sha256, modified_s: None }
    }

    /// By what a copy is the same as this: by more than its size where the service says more.
    fn same(&self, copy: &ObjectHead) -> Same {
        let (sha256, differs) = (self.head().sha256, self.bytes != copy.bytes);
        match (sha256, copy.sha256) {
            _ if differs => Same::No,
            (Some(a), Some(b)) => {
                if a == b {
                    Same::Sha256
                } else {
                    Same::No
                }
            }
            // An etag of parts is no digest of the content, and depends on how it was cut.
            _ if in_parts(&self.etag) || in_parts(&copy.etag) => Same::Size,
            _ if self.etag == copy.etag => Same::Etag,
            _ => Same::No,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    Sha256,
    Etag,
    Size,
    No,
}

fn in_parts(etag: &str) -> bool {
    etag.contains('-')
}

struct Sides {
    from: Box<dyn Objects>,
    to: Box<dyn Objects>,
}

/// Both places; refused where the service of one is not that of the other, since all bytes would
/// then pass through this machine.
fn sides(act: &Act<'_>, copy: &S3Copy) -> Result<Sides, StepError> {
    let (from, to) = (act.cx.outside.objects(&copy.from)?, act.cx.outside.objects(&copy.to)?);
    if from.service() == to.service() {
        return Ok(Sides { from, to });
    }
    let what = format!(
        "{} cannot read from {}: every byte would pass through this machine",
        to.service(),
        from.service()
    );
    Err(StepError::new(Code::S3_LOCAL_HOP, what)
        .remedy("let the services replicate between them, or name places of one service"))
}

fn keys(from: &dyn Objects, copy: &S3Copy) -> Result<Vec<String>, StepError> {
    if let Some(keys) = &copy.keys {
        return Ok(keys.clone());
    }
    let (mut keys, mut next) = (Vec::new(), None);
    loop {
        let page = from.list("", next.as_deref())?;
        keys.extend(page.objects.into_iter().map(|(key, _)| key));
        if keys.len() > OBJECTS_MAX {
            let what = format!("there are more than {OBJECTS_MAX} objects at {}", copy.from);
            return Err(StepError::new(Code::PLAN_VALUE, what)
                .remedy("copy them in several steps, by longer prefixes"));
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    if keys.is_empty() {
        let what = format!("there are no objects at {}", copy.from);
        return Err(StepError::new(Code::STORE_NOT_FOUND, what).remedy("correct the place"));
    }
    Ok(keys)
}

fn taken(place: &dyn Objects, key: &str) -> StepError {
    let place = place.place(key);
    let what = format!("there is an object {} in the bucket {} already", place.key, place.bucket);
    StepError::new(Code::OBJECT_EXISTS, what)
        .remedy("move it away, or copy to another prefix: nothing is overwritten")
}

fn planned(act: &Act<'_>, inputs: &Object) -> Result<Planned, StepError> {
    let digest = digest_of(inputs, "plan")
        .ok_or_else(|| StepError::new(Code::BUG, "the copy was not planned"))?;
    act.cx.recorder.get_json(digest)
}

fn parts(act: &Act<'_>) -> BTreeMap<String, PartState> {
    let parts = |run: &RunState| run.step(act.node).map(|step| step.parts.clone());
    act.cx.recorder.look(parts).flatten().unwrap_or_default()
}

fn remember(
    act: &Act<'_>,
    key: &str,
    status: PartStatus,
    etag: Option<&str>,
) -> Result<(), StepError> {
    let facts = etag.map(|etag| ("etag".to_owned(), etag.into())).into_iter().collect();
    act.cx.recorder.part(act.node, key.to_owned(), status, facts)?;
    Ok(())
}

/// Copies one object, or finds that an earlier attempt did.
fn copy_one(
    act: &Act<'_>,
    sides: &Sides,
    one: &Planning,
    part: Option<&PartState>,
) -> Result<Same, StepError> {
    let there = sides.to.head(&one.key)?;
    let copied = match (there, part.map(|part| part.status)) {
        (None, _) => {
            remember(act, &one.key, PartStatus::Intent, None)?;
            let source = sides.from.place(&one.key);
            act.pass("s3/copying")?;
            sides.to.copy_from(&source, &one.head(), &one.key)?
        }
        (Some(there), Some(_)) => there,
        (Some(_), None) => return Err(taken(sides.to.as_ref(), &one.key)),
    };
    act.pass("s3/object")?;
    let same = one.same(&copied);
    let done = part.and_then(|part| text_of(&part.facts, "etag"));
    match (same, done) {
        (Same::No, _) => {
            let what = format!("the copy of {} is not what it is a copy of", one.key);
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy("see who else writes there, and run the plan again"));
        }
        // Something of this size is there, an attempt to make it was begun, and nobody saw its end:
        // the service compares both.
        (Same::Size, None) if part.is_some() => {
            let source = sides.from.place(&one.key);
            if !sides.to.same_content(&source, &one.head(), &one.key)? {
                let what = format!("{} was put there by somebody else", one.key);
                return Err(unknown(what, "see who writes there, remove it, then run again"));
            }
        }
        (Same::Size | Same::Etag | Same::Sha256, _) => {}
    }
    remember(act, &one.key, PartStatus::Done, Some(&copied.etag))?;
    Ok(same)
}

impl Capability for Copy {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let copy: S3Copy = act.inputs()?;
        let sides = sides(act, &copy)?;
        let mut objects = Vec::new();
        for key in keys(sides.from.as_ref(), &copy)? {
            let Some(head) = sides.from.head(&key)? else {
                let place = sides.from.place(&key);
                let what = format!("there is no object {} in {}", place.key, place.bucket);
                return Err(StepError::new(Code::STORE_NOT_FOUND, what).remedy("correct the key"));
            };
            if sides.to.head(&key)?.is_some() {
                return Err(taken(sides.to.as_ref(), &key));
            }
            let sha256 = head.sha256.map(|bytes| Digest(bytes).to_string());
            objects.push(Planning { key, bytes: head.bytes, etag: head.etag, sha256 });
        }
        let bytes = objects.iter().map(|one| one.bytes).sum();
        Ok(Object::from([
            ("service".to_owned(), sides.to.service().into()),
            ("objects".to_owned(), number(objects.len() as u64)),
            ("bytes".to_owned(), number(bytes)),
            ("plan".to_owned(), act.cx.recorder.put_json(&Planned { objects })?.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let sides = sides(act, &act.inputs()?)?;
        let (planned, parts) = (planned(act, inputs)?, parts(act));
        let (mut bytes, mut by_size) = (0, 0);
        let job =
            act.cx.work.progress.job("copy objects", "objects", Some(planned.objects.len() as u64));
        for one in &planned.objects {
            if copy_one(act, &sides, one, parts.get(&one.key))? == Same::Size {
                by_size += 1;
            }
            bytes += one.bytes;
            job.add(1);
        }
        // Those that the service gives nothing to compare by but their size.
        Ok(Done::default()
            .count("objects", planned.objects.len() as u64)
            .count("bytes", bytes)
            .count("compared_by_size", by_size))
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let sides = sides(act, &act.inputs()?)?;
        for one in planned(act, inputs)?.objects {
            let there = sides.to.head(&one.key)?;
            if there.is_none_or(|there| one.same(&there) == Same::No) {
                return Ok(Probed::NotApplied);
            }
        }
        Ok(Probed::Applied(Done::default()))
    }

    /// Removes what was copied, newest first, as far as it is still what was copied.
    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let sides = sides(act, &act.inputs()?)?;
        let (planned, parts) = (planned(act, inputs)?, parts(act));
        let mut left = Vec::new();
        for one in planned.objects.iter().rev() {
            let Some(part) = parts.get(&one.key) else { continue };
            let Some(there) = sides.to.head(&one.key)? else { continue };
            let ours = match (text_of(&part.facts, "etag"), one.same(&there)) {
                (Some(etag), _) => etag == there.etag,
                (None, Same::Sha256 | Same::Etag) => true,
                (None, Same::Size) => {
                    let source = sides.from.place(&one.key);
                    sides.to.same_content(&source, &one.head(), &one.key)?
                }
                (None, Same::No) => false,
            };
            let place = sides.to.place(&one.key);
            let changed = format!(
                "the object {} in {} is not certainly what this run has copied",
                place.key, place.bucket
            );
            if !ours {
                left.push(changed);
                continue;
            }
            match sides.to.delete(&one.key, &there.etag) {
                Ok(_) => act.pass("s3/removed")?,
                Err(error) if error.code() == Code::OBJECT_CHANGED => left.push(changed),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planning(bytes: u64, etag: &str, sha256: Option<[u8; 32]>) -> Planning {
        let sha256 = sha256.map(|bytes| Digest(bytes).to_string());
        Planning { key: "k".into(), bytes, etag: etag.into(), sha256 }
    }

    #[test]
    fn a_copy_is_compared_by_the_best_that_both_sides_know() {
        let head = |bytes, etag: &str, sha256| ObjectHead {
            bytes,
            etag: etag.to_owned(),
            sha256,
            modified_s: None,
        };
        for (one, copy, same) in [
            (planning(1, "\"a\"", None), head(1, "\"a\"", None), Same::Etag),
            (planning(1, "\"a\"", None), head(2, "\"a\"", None), Same::No),
            (planning(1, "\"a\"", None), head(1, "\"b\"", None), Same::No),
            (planning(1, "\"a\"", None), head(1, "\"b-2\"", None), Same::Size),
            (planning(1, "\"a-1\"", Some([1; 32])), head(1, "\"b\"", Some([1; 32])), Same::Sha256),
            (planning(1, "\"a\"", Some([1; 32])), head(1, "\"a\"", Some([2; 32])), Same::No),
        ] {
            assert_eq!(one.same(&copy), same, "{one:?} {copy:?}");
        }
    }
}
