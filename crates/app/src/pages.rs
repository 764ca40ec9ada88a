//! The pages of `carnet explain`, one for each code, compiled in.

/// Code and page.
macro_rules! pages {
    ($($code:literal,)*) => {
        /// Every page: the code and its text from `docs/errors/`.
        pub(crate) const PAGES: &[(&str, &str)] = &[
            $(($code, include_str!(concat!("../../../docs/errors/", $code, ".md"))),)*
        ];
    };
}

pages![
    "bug",
    "usage",
    "io",
    "io.full",
    "plan.syntax",
    "plan.not_found",
    "plan.unknown_key",
    "plan.duplicate_key",
    "plan.missing",
    "plan.value",
    "plan.unsupported",
    "plan.conflict",
    "plan.password",
    "plan.changed",
    "store.url",
    "store.feature",
    "store.not_found",
    "store.unreachable",
    "store.lost",
    "store.denied",
    "store.read_only",
    "store.malformed",
    "store.unsupported",
    "store.changed",
    "store.half_loaded",
    "store.failed",
    "store.busy",
    "table.column",
    "table.no_key",
    "table.unmapped",
    "faiss.malformed",
    "faiss.kind",
    "faiss.rows",
    "record.id",
    "record.duplicate",
    "record.vector",
    "record.time",
    "metadata.syntax",
    "metadata.number",
    "metadata.duplicate_key",
    "metadata.surrogate",
    "metadata.limit",
    "loss",
    "import.conflict",
    "content.differs",
    "contract.differs",
    "snapshot.malformed",
    "snapshot.damaged",
    "snapshot.version",
    "snapshot.exists",
    "bundle.malformed",
    "bundle.damaged",
    "bundle.version",
    "bundle.content_type",
    "bundle.limit",
    "bundle.exists",
    "bundle.incomplete",
    "bundle.encrypted",
    "bundle.registry",
    "artifact.refused",
    "policy.malformed",
    "policy.damaged",
    "policy.limit",
    "policy.compile",
    "policy.builtin",
    "policy.self_test",
    "policy.input",
    "policy.denied",
    "policy.undecided",
    "authority.unknown",
    "feature.missing",
    "signature.key",
    "trust.malformed",
    "signature.bad",
    "signature.unknown_key",
    "signature.missing",
    "secret.missing",
    "command.failed",
    "http.failed",
    "file.exists",
    "object.exists",
    "object.changed",
    "s3.local_hop",
    "service.failed",
    "workload.malformed",
    "workload.unsupported",
    "workload.stateful",
    "workload.unpinned",
    "workload.image",
    "workload.exists",
    "workload.not_found",
    "workload.running",
    "workload.unhealthy",
    "workload.failed",
    "vm.malformed",
    "vm.unsupported",
    "vm.tpm_missing",
    "vm.exists",
    "vm.not_found",
    "vm.running",
    "vm.no_proof",
    "vm.failed",
    "gate.closed",
    "gate.broken",
    "gate.waits",
    "run.locked",
    "run.fenced",
    "run.not_found",
    "run.not_reversible",
    "run.unknown",
    "approval.withdrawn",
    "approval.invalid",
    "approval.missing",
    "run.not_now",
    "run.not_due",
    "key.not_found",
    "key.exists",
    "key.mode",
    "key.malformed",
    "key.other",
    "key.retired",
    "evidence.damaged",
    "evidence.exists",
    "evidence.incomplete",
    "evidence.malformed",
    "evidence.profile",
    "evidence.refused",
    "evidence.unsigned",
    "claims.malformed",
    "claims.refused",
    "conformance.violated",
    "programme.unready",
    "programme.blocked",
    "programme.drift",
    "programme.pinned",
    "erasure.refused",
];

/// The page of a code.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(name, _)| *name == code).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_model::Code;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.name().to_owned()).collect();
        let compiled: BTreeSet<_> = PAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(codes, compiled, "pages.rs and code.rs");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let files: BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".md").map(str::to_owned)
            })
            .collect();
        assert_eq!(codes, files, "docs/errors and code.rs");
    }

    #[test]
    fn pages_have_one_form() {
        for code in Code::ALL {
            let page = page(code.name()).unwrap();
            let exit = format!("Exit status {}.", code.exit() as u8);
            assert!(page.starts_with(&format!("# {code}\n\n")), "{code}");
            assert!(page.lines().nth(2).is_some_and(|line| line.ends_with(&exit)), "{code}");
            for part in ["## How it comes about", "## What to do"] {
                assert!(page.contains(part), "{code} lacks {part}");
            }
            assert!(page.lines().count() <= 25, "{code} is long");
            assert!(page.lines().all(|line| line.chars().count() <= 80), "{code} is wide");
        }
    }
}
