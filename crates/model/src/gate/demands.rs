//! What a gate demands, in words for people.

use super::definition::Rule;

impl Rule {
    /// What is demanded, in one line.
    pub fn demands(&self) -> String {
        match self {
            Self::SchemaVersion(_) => {
                "the snapshot has a schema version that this build reads".to_owned()
            }
            Self::Dimensions(_) => "vectors have one length on both sides".to_owned(),
            Self::Contract(_) => {
                "metric, normalisation and model are declared and equal".to_owned()
            }
            Self::Losses(rule) if rule.waived.is_empty() => {
                "the target can hold everything".to_owned()
            }
            Self::Losses(rule) => {
                let waived: Vec<_> = rule.waived.iter().map(ToString::to_string).collect();
                format!("the target can hold everything but {}", waived.join(", "))
            }
            Self::Checksums(_) => {
                "each file is as its checksum says, none is missing or added".to_owned()
            }
            Self::Count(_) => "as many records as there must be".to_owned(),
            Self::ContentRoot(_) => {
                "every record read back is, bit for bit, that of the source".to_owned()
            }
            Self::QueryParity(rule) => format!(
                "{} searches find the same {} records in the same order on both sides",
                rule.queries, rule.k
            ),
            Self::ArtifactChecksums(_) => "each artifact is the same file on both sides".to_owned(),
            Self::Command(rule) => rule.demands(),
            Self::File(rule) => rule.demands(),
            Self::Object(rule) => rule.demands(),
            Self::Digest(rule) => rule.demands(),
            Self::Sql(rule) => rule.demands(),
            Self::Rows(rule) => rule.demands(),
            Self::Http(rule) => rule.demands(),
            Self::Tcp(rule) => rule.demands(),
            Self::TlsExpiry(rule) => rule.demands(),
            Self::Lag(rule) => rule.demands(),
            Self::Claims(rule) => rule.demands(),
            Self::SupplyChain(rule) => rule.demands(),
            Self::Term(rule) => rule.demands(),
            Self::Approval(rule) => rule.demands(),
            Self::Policy(rule) => rule.demands(),
            Self::Authority(rule) => rule.demands(),
            Self::RunEvidence(rule) => rule.demands(),
            Self::RunAgreement(rule) => rule.demands(),
            Self::Certification(rule) => rule.demands(),
            Self::Handles(rule) => rule.demands(),
            Self::Image(rule) => rule.demands(),
            Self::Terraform(rule) => rule.demands(),
            Self::Topics(rule) => rule.demands(),
            Self::ConsumerLag(rule) => rule.demands(),
            Self::RegistryTag(rule) => rule.demands(),
            Self::Services(rule) => rule.demands(),
            Self::Budget(rule) => rule.demands(),
            Self::SecretsAbsent(rule) => rule.demands(),
        }
    }
}
