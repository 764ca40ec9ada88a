//! The few calls of the distribution protocol that bundles need.

use std::io::Read;
use std::time::Duration;

use carnet_ledger::Digest;
use ureq::http::{Request, Response, StatusCode};
use ureq::{Agent, Body, SendBody};

use super::RegistryPlace;
use crate::container_image::IMAGE_TYPES;
use crate::error::BundleError;
use crate::oci::image::DOCUMENT_BYTES_MAX;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// How long a registry may take before it begins to answer.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// How many bytes of a refusal are shown.
const SHOWN_BYTES: usize = 300;

/// One repository of a registry.
pub(super) struct Client<'p> {
    agent: Agent,
    place: &'p RegistryPlace,
}

impl<'p> Client<'p> {
    pub(super) fn new(place: &'p RegistryPlace) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("carnet")
            .accept_encoding("identity")
            .timeout_connect(Some(ANSWER_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .build()
            .new_agent();
        Self { agent, place }
    }

    /// Whether a blob of this size is there.
    pub(super) fn has(&self, digest: &Digest, size: u64) -> Result<bool, BundleError> {
        let request = self.request("HEAD", &self.blob(digest), SendBody::none())?;
        let answer = self.send(request)?;
        match answer.status() {
            StatusCode::OK => Ok(header(&answer, "content-length") == Some(&size.to_string())),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused("look for a blob", answer)),
        }
    }

    /// Uploads a blob in one piece; the registry hashes it.
    pub(super) fn put(
        &self,
        digest: &Digest,
        size: u64,
        source: &mut dyn Read,
    ) -> Result<(), BundleError> {
        let begin = format!("{}/blobs/uploads/", self.place.base());
        let answer = self.send(self.request("POST", &begin, SendBody::none())?)?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(self.refused("begin an upload", answer));
        }
        let location = header(&answer, "location").unwrap_or_default();
        let place = self.inside(location)?;
        let join = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{join}digest=sha256:{digest}");
        let request = Request::builder()
            .method("PUT")
            .uri(url)
            .header("content-type", "application/octet-stream")
            .header("content-length", size)
            .body(SendBody::from_reader(source))
            .map_err(|error| self.failed(error))?;
        let answer = self.send(request)?;
        if answer.status() == StatusCode::CREATED {
            return Ok(());
        }
        Err(self.refused("take a blob", answer))
    }

    /// Where the registry wants the upload: with itself, or not at all.
    fn inside(&self, location: &str) -> Result<String, BundleError> {
        let origin = self.place.origin();
        if location.starts_with('/') && !location.starts_with("//") {
            return Ok(format!("{origin}{location}"));
        }
        let same = location.strip_prefix(&origin).is_some_and(|rest| rest.starts_with('/'));
        if same { Ok(location.to_owned()) } else { Err(self.other("sends the upload elsewhere")) }
    }

    pub(super) fn put_manifest(&self, digest: &Digest, text: &[u8]) -> Result<(), BundleError> {
        let mut text = text;
        let request = Request::builder()
            .method("PUT")
            .uri(self.manifest(digest))
            .header("content-type", MANIFEST_TYPE)
            .header("content-length", text.len())
            .body(SendBody::from_reader(&mut text))
            .map_err(|error| self.failed(error))?;
        let answer = self.send(request)?;
        if answer.status() == StatusCode::CREATED {
            return Ok(());
        }
        Err(self.refused("take the manifest", answer))
    }

    pub(super) fn get_manifest(&self, digest: &Digest) -> Result<Vec<u8>, BundleError> {
        self.get_manifest_of(digest, MANIFEST_TYPE)
    }

    /// The manifest or the index of an image, of any of the known types.
    pub(super) fn get_image_manifest(&self, digest: &Digest) -> Result<Vec<u8>, BundleError> {
        self.get_manifest_of(digest, &IMAGE_TYPES.join(", "))
    }

    fn get_manifest_of(&self, digest: &Digest, types: &str) -> Result<Vec<u8>, BundleError> {
        let request = Request::builder()
            .method("GET")
            .uri(self.manifest(digest))
            .header("accept", types)
            .body(SendBody::none())
            .map_err(|error| self.failed(error))?;
        let mut answer = self.send(request)?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused("give the manifest", answer));
        }
        let mut bytes = Vec::new();
        let body = answer.body_mut().as_reader();
        body.take(DOCUMENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    /// The bytes of a blob, as they come in.
    pub(super) fn get(&self, digest: &Digest) -> Result<impl Read + use<>, BundleError> {
        let answer = self.send(self.request("GET", &self.blob(digest), SendBody::none())?)?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused("give a blob", answer));
        }
        Ok(answer.into_body().into_reader())
    }

    fn blob(&self, digest: &Digest) -> String {
        format!("{}/blobs/sha256:{digest}", self.place.base())
    }

    fn manifest(&self, digest: &Digest) -> String {
        format!("{}/manifests/sha256:{digest}", self.place.base())
    }

    fn request<'b>(
        &self,
        method: &str,
        url: &str,
        body: SendBody<'b>,
    ) -> Result<Request<SendBody<'b>>, BundleError> {
        let request = Request::builder().method(method).uri(url);
        request.body(body).map_err(|error| self.failed(error))
    }

    fn send(&self, request: Request<SendBody<'_>>) -> Result<Response<Body>, BundleError> {
        self.agent.run(request).map_err(|error| self.failed(error))
    }

    fn refused(&self, to: &str, mut answer: Response<Body>) -> BundleError {
        let mut text = Vec::new();
        // What it says is for people; if it cannot be read, the status must do.
        let _ = answer.body_mut().as_reader().take(SHOWN_BYTES as u64).read_to_end(&mut text);
        let text: String = String::from_utf8_lossy(&text)
            .chars()
            .map(|it| if it.is_control() { ' ' } else { it })
            .collect();
        let status = answer.status().as_u16();
        self.other(&format!("answers {status} when asked to {to}: {}", text.trim()))
    }

    fn other(&self, what: &str) -> BundleError {
        BundleError::Registry { place: self.place.origin(), what: what.to_owned(), source: None }
    }

    fn failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> BundleError {
        BundleError::Registry {
            place: self.place.origin(),
            what: "does not answer as a registry does".to_owned(),
            source: Some(Box::new(error)),
        }
    }
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}
