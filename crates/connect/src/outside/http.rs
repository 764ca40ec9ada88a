//! HTTP requests and answers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use carnet_model::Secret;

/// A request. Redirects are not followed: where one leads is the plan's affair.
#[derive(Clone)]
pub struct HttpRequest {
    /// Such as `GET`.
    pub method: String,
    /// An `http:` or `https:` URL without user and password.
    pub url: String,
    /// In the order in which they are sent.
    pub headers: Vec<Header>,
    /// What is sent; empty for none.
    pub body: Vec<u8>,
    /// How long all of it may take.
    pub limit: Duration,
    /// How many bytes of the answer are read; the rest is left, and said to be.
    pub body_bytes_max: usize,
    /// A PEM file with the roots to trust; those of the system if nothing is said.
    pub roots: Option<PathBuf>,
}

impl fmt::Debug for HttpRequest {
    /// Without the body: a secret may be on its way in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.len();
        write!(f, "{} {} with {bytes} bytes", self.method, self.url)
    }
}

/// A header.
#[derive(Debug, Clone)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// What a header says.
#[derive(Debug, Clone)]
pub enum HeaderValue {
    /// In the open.
    Plain(String),
    /// A secret: never shown, never recorded.
    Secret(Secret),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Name in lower case, and value; one entry for each line.
    pub headers: Vec<(String, String)>,
    /// The body, up to the limit.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
    /// How long it took.
    pub took: Duration,
}
