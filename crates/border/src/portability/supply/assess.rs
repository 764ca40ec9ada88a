//! SUP-01 to SUP-04, judged on what was seen.

use serde::{Deserialize, Serialize};

use super::seen::{ProvenanceSeen, SbomSeen, Signed, Subject, SupplyChain};
use crate::portability::invariant::{Assessed, Invariant, Shown, Standing};

/// What is demanded beyond what the documents say of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplyDemand {
    /// Whether each statement must be signed by somebody whom the trust file believes. If not, a
    /// statement without a signature is taken; one with a signature that is not believed never is.
    pub signed: bool,
}

impl SupplyChain {
    /// How the four invariants stand. Without an image or a disk nothing is to be described.
    pub fn assess(&self, demand: SupplyDemand) -> Vec<Assessed> {
        let names = [Invariant::Sup01, Invariant::Sup02, Invariant::Sup03, Invariant::Sup04];
        if self.subjects.is_empty() {
            let nothing = || Standing::not_applicable("no image and no disk is in it");
            return names.map(|it| Assessed::new(it, nothing())).to_vec();
        }
        let standings =
            [self.inventory(), self.origin(demand), self.tiers(), self.upstream(demand)];
        names.into_iter().zip(standings).map(|(it, standing)| Assessed::new(it, standing)).collect()
    }

    /// The lists of parts of a subject, or why there is none.
    fn lists_of(&self, subject: &Subject) -> Result<Vec<&SbomSeen>, Standing> {
        let remedy = "write an SBOM in CycloneDX 1.5 or 1.6 or SPDX 2.3 whose subject has the \
                      SHA-256 of the content";
        if let Some(bad) = self.sboms.iter().find(|it| it.wrong.is_some()) {
            let wrong = bad.wrong.as_deref().unwrap_or_default();
            return Err(Standing::violated(format!("{}: {wrong}", bad.path), remedy));
        }
        let about: Vec<_> =
            self.sboms.iter().filter(|it| it.subject == Some(subject.sha256)).collect();
        if about.is_empty() {
            let why = match self.sboms.first() {
                None => format!("no SBOM is there for {}", subject.what),
                Some(_) => format!("no SBOM is about the digest of {}", subject.what),
            };
            return Err(Standing::violated(why, remedy));
        }
        Ok(about)
    }

    /// The statements about a subject, or why one of them does not count.
    fn statements_of(
        &self,
        subject: &Subject,
        demand: SupplyDemand,
    ) -> Result<Vec<&ProvenanceSeen>, Standing> {
        let remedy = "write SLSA provenance v1 in an in-toto statement whose subject has the \
                      SHA-256 of the content";
        if let Some(bad) = self.provenance.iter().find(|it| it.wrong.is_some()) {
            let wrong = bad.wrong.as_deref().unwrap_or_default();
            return Err(Standing::violated(format!("{}: {wrong}", bad.path), remedy));
        }
        let about: Vec<_> =
            self.provenance.iter().filter(|it| it.subjects.contains(&subject.sha256)).collect();
        if about.is_empty() {
            let why = match self.provenance.first() {
                None => format!("no provenance is there for {}", subject.what),
                Some(_) => format!("no provenance is about the digest of {}", subject.what),
            };
            return Err(Standing::violated(why, remedy));
        }
        for ProvenanceSeen { path, signed, .. } in &about {
            let (why, remedy) = match signed {
                Signed::By { .. } => continue,
                Signed::Not if !demand.signed => continue,
                Signed::ByNobodyKnown { why } => (
                    format!("{path}: {why}"),
                    "name the builder's key in the trust file, or do not take the content",
                ),
                Signed::Not => (
                    format!("{path} is not signed"),
                    "let the builder sign it (DSSE), and name its key in the trust file",
                ),
            };
            return Err(Standing::violated(why, remedy));
        }
        Ok(about)
    }

    fn inventory(&self) -> Standing {
        self.for_each(|subject| {
            let shown = self.lists_of(subject)?.into_iter().map(|list| {
                let format = list.format.map_or("", super::SbomFormat::name);
                object(&format!("{format} with {} parts", list.parts), list.sha256)
            });
            Ok(shown.collect())
        })
    }

    fn origin(&self, demand: SupplyDemand) -> Standing {
        self.for_each(|subject| {
            let shown = self.statements_of(subject, demand)?.into_iter().map(|found| {
                let signed = match &found.signed {
                    Signed::By { principal, .. } => format!("signed by {principal}"),
                    Signed::Not | Signed::ByNobodyKnown { .. } => "not signed".to_owned(),
                };
                let what = format!("provenance by {}, {signed}", found.builder);
                object(&what, found.sha256)
            });
            Ok(shown.collect())
        })
    }

    fn tiers(&self) -> Standing {
        self.for_each(|subject| {
            let mut shown = Vec::new();
            for list in self.lists_of(subject)? {
                if let Some(word) = &list.incomplete {
                    let why = format!("{} says itself that it is not complete: {word}", list.path);
                    return Err(Standing::violated(why, "complete the list"));
                }
                if let Some(part) = list.unreached.first() {
                    let why = format!("{} does not say what needs {part}", list.path);
                    let remedy = "list under `dependencies` what each part needs, down to the last";
                    return Err(Standing::violated(why, remedy));
                }
                shown.push(object(&format!("{} parts, all reached", list.parts), list.sha256));
            }
            Ok(shown)
        })
    }

    fn upstream(&self, demand: SupplyDemand) -> Standing {
        self.for_each(|subject| {
            let mut shown = Vec::new();
            for list in self.lists_of(subject)? {
                if let Some(part) = list.unidentified.first() {
                    let path = &list.path;
                    let why = format!("{path} lists {part} without a digest and a package URL");
                    let remedy = "add the SHA-256 or the purl with its version";
                    return Err(Standing::violated(why, remedy));
                }
                shown.push(object("SBOM", list.sha256));
            }
            for statement in self.statements_of(subject, demand)? {
                if let Some(uri) = statement.undeclared.first() {
                    let path = &statement.path;
                    let why = format!("{path} names {uri}, without a digest or in no SBOM");
                    let remedy = "add its digest to the provenance, and the part to the SBOM";
                    return Err(Standing::violated(why, remedy));
                }
                shown.push(object("provenance", statement.sha256));
            }
            Ok(shown)
        })
    }

    fn for_each(&self, show: impl Fn(&Subject) -> Result<Vec<Shown>, Standing>) -> Standing {
        let mut shown = Vec::new();
        for subject in &self.subjects {
            match show(subject) {
                Ok(more) => shown.extend(more),
                Err(violated) => return violated,
            }
        }
        Standing::shown(shown)
    }
}

fn object(what: &str, sha256: carnet_ledger::Digest) -> Shown {
    Shown::Object { what: what.to_owned(), sha256 }
}

#[cfg(test)]
mod tests;
