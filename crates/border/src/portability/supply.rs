//! Where content comes from: the list of its parts (SBOM) and the statement on its making
//! (provenance). Both must speak of the very content, and be what they say they are.
//!
//! What is checked is what the documents say, against each other and against the digests of the
//! content. Nothing looks into the layers of an image for parts that no document names.

mod assess;
mod provenance;
mod sbom;
mod seen;

pub use assess::SupplyDemand;
pub use provenance::{Provenance, ResolvedDependency};
pub use sbom::{Part, Sbom, SbomFormat};
pub use seen::{
    ProvenanceSeen, SbomSeen, Signed, Subject, SupplyChain, SupplyDocument, image_subjects,
};
