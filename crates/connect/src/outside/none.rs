//! A world without anything outside.

use std::time::Duration;

use carnet_model::policy::{PolicyAnswer, PolicyQuestion};
use carnet_model::{Code, Secret};

use super::{
    Address, Certificate, CertificateRequest, HttpRequest, HttpResponse, Objects, Outside,
    SqlSession,
};
use crate::error::StoreError;

/// Refuses all: for plans that look at stores alone, and for tests.
#[derive(Debug, Clone, Copy)]
pub struct NoOutside;

pub(super) fn missing<T>(what: &str) -> Result<T, StoreError> {
    let error = StoreError::new(Code::FEATURE_MISSING, format!("there is no way to {what} here"));
    Err(error.remedy("use a build of Carnet that has it"))
}

impl Outside for NoOutside {
    fn http(&self, _: &HttpRequest) -> Result<HttpResponse, StoreError> {
        missing("send an HTTP request")
    }

    fn connect(&self, _: &Address) -> Result<Duration, StoreError> {
        missing("open a connection")
    }

    fn certificate(&self, _: &CertificateRequest) -> Result<Certificate, StoreError> {
        missing("ask for a certificate")
    }

    fn sql(&self, _: &str) -> Result<Box<dyn SqlSession>, StoreError> {
        missing("open a database")
    }

    fn objects(&self, _: &str) -> Result<Box<dyn Objects>, StoreError> {
        missing("reach objects")
    }

    fn policy(&self, _: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
        missing("evaluate policies (feature `rego`)")
    }

    fn secret(&self, _: &str) -> Option<Secret> {
        None
    }
}
