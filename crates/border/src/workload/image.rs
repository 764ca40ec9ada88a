//! Where the image of a workload comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use carnet_ledger::Digest;

/// A place of an image, as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageReference {
    /// `oci:DIR[:TAG]`: a folder in the layout of OCI.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// Which of its images; the only one if nothing is said.
        tag: Option<String>,
    },
    /// `docker-archive:FILE`: what `docker save` and `podman save` write.
    DockerArchive {
        /// The tar file.
        file: PathBuf,
    },
    /// `docker://HOST/NAME@sha256:…`: a registry, by digest alone.
    Registry {
        /// The host and the port.
        host: String,
        /// The name in the registry.
        repository: String,
        /// The digest of the manifest.
        digest: Digest,
    },
}

/// Why a reference is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageReferenceError {
    /// It has none of the known forms.
    #[error(
        "an image is named oci:DIR, oci:DIR:TAG, docker-archive:FILE or docker://HOST/NAME@sha256:…"
    )]
    Form,
    /// A registry is named without a digest.
    #[error("the image {0} is named by a tag, which may mean another image tomorrow")]
    Unpinned(String),
}

impl ImageReference {
    /// The same with its path made whole.
    #[must_use]
    pub fn within(self, base: &Path) -> Self {
        match self {
            Self::Layout { folder, tag } => Self::Layout { folder: base.join(folder), tag },
            Self::DockerArchive { file } => Self::DockerArchive { file: base.join(file) },
            registry @ Self::Registry { .. } => registry,
        }
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let (scheme, rest) = text.split_once(':').ok_or(ImageReferenceError::Form)?;
        if rest.is_empty() || rest.chars().any(char::is_control) {
            return Err(ImageReferenceError::Form);
        }
        match scheme {
            "oci" => {
                let (folder, tag) = match rest.rsplit_once(':') {
                    Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag.to_owned())),
                    Some(_) | None => (rest, None),
                };
                if folder.is_empty() || tag.as_deref() == Some("") {
                    return Err(ImageReferenceError::Form);
                }
                Ok(Self::Layout { folder: folder.into(), tag })
            }
            "docker-archive" => Ok(Self::DockerArchive { file: rest.into() }),
            "docker" => registry(rest),
            _ => Err(ImageReferenceError::Form),
        }
    }
}

fn registry(rest: &str) -> Result<ImageReference, ImageReferenceError> {
    let rest = rest.strip_prefix("//").ok_or(ImageReferenceError::Form)?;
    let (host, path) = rest.split_once('/').ok_or(ImageReferenceError::Form)?;
    let Some((repository, digest)) = path.split_once("@sha256:") else {
        return Err(ImageReferenceError::Unpinned(rest.to_owned()));
    };
    // A tag beside a digest says nothing that the digest does not.
    let repository = repository.rsplit_once(':').map_or(repository, |(name, _)| name);
    let digest: Digest = digest.parse().map_err(|_| ImageReferenceError::Form)?;
    if host.is_empty() || host.contains('@') || repository.is_empty() {
        return Err(ImageReferenceError::Form);
    }
    Ok(ImageReference::Registry {
        host: host.to_owned(),
        repository: repository.to_owned(),
        digest,
    })
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { folder, tag: None } => write!(f, "oci:{}", folder.display()),
            Self::Layout { folder, tag: Some(tag) } => write!(f, "oci:{}:{tag}", folder.display()),
            Self::DockerArchive { file } => write!(f, "docker-archive:{}", file.display()),
            Self::Registry { host, repository, digest } => {
                write!(f, "docker://{host}/{repository}@sha256:{digest}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_rest_refused() {
        let hex = "0".repeat(64);
        for text in [
            "oci:images/app".to_owned(),
            "oci:/images/app:v1".to_owned(),
            "docker-archive:app.tar".to_owned(),
            format!("docker://127.0.0.1:5000/team/app@sha256:{hex}"),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap().to_string(), text);
        }
        let tagged = format!("docker://h/app:1@sha256:{hex}").parse::<ImageReference>().unwrap();
        assert_eq!(tagged.to_string(), format!("docker://h/app@sha256:{hex}"));
        for text in ["app", "oci:", "oci::v1", "oci:x:", "http://h/x", "docker:h/x", "docker://h"] {
            assert_eq!(text.parse::<ImageReference>(), Err(ImageReferenceError::Form), "{text}");
        }
        for text in ["docker://h/app:1", "docker://h/app", "docker://h/app@sha512:00"] {
            let error = text.parse::<ImageReference>().unwrap_err();
            assert!(matches!(error, ImageReferenceError::Unpinned(_)), "{text}: {error}");
        }
        let short = "docker://h/app@sha256:00".parse::<ImageReference>();
        assert_eq!(short, Err(ImageReferenceError::Form));
    }
}
