//! What gates look through and steps act through, as this build has it.

use std::time::Duration;

#[cfg(not(all(
    feature = "http",
    feature = "s3",
    any(feature = "postgres", feature = "sqlite")
)))]
use carnet_connect::NoOutside;
use carnet_connect::{
    Address, Certificate, CertificateRequest, HttpRequest, HttpResponse, Objects, Outside,
    SqlSession, StoreError,
};
#[cfg(feature = "aws")]
use carnet_connect::{Aws, AwsPlace};
#[cfg(feature = "kafka")]
use carnet_connect::{Broker, BrokerPlace};
#[cfg(feature = "podman")]
use carnet_connect::{ContainerPlace, ContainerRuntime};
#[cfg(feature = "qemu")]
use carnet_connect::{MachinePlace, Machines};
use carnet_model::Secret;
use carnet_model::policy::{PolicyAnswer, PolicyQuestion};

use crate::environment::Environment;

/// The world outside: each call reaches it through the connector that this build has for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World;

impl Outside for World {
    #[cfg(feature = "http")]
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError> {
        carnet_connectors::http(request)
    }

    #[cfg(not(feature = "http"))]
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError> {
        NoOutside.http(request)
    }

    #[cfg(feature = "http")]
    fn connect(&self, address: &Address) -> Result<Duration, StoreError> {
        carnet_connectors::connect(address)
    }

    #[cfg(not(feature = "http"))]
    fn connect(&self, address: &Address) -> Result<Duration, StoreError> {
        NoOutside.connect(address)
    }

    #[cfg(feature = "http")]
    fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError> {
        carnet_connectors::certificate(request)
    }

    #[cfg(not(feature = "http"))]
    fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError> {
        NoOutside.certificate(request)
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError> {
        carnet_connectors::open_sql(url, self.secret("PGPASSWORD").as_ref())
    }

    #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
    fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError> {
        NoOutside.sql(url)
    }

    #[cfg(feature = "s3")]
    fn objects(&self, url: &str) -> Result<Box<dyn Objects>, StoreError> {
        carnet_connectors::open_objects(url, &keys())
    }

    #[cfg(not(feature = "s3"))]
    fn objects(&self, url: &str) -> Result<Box<dyn Objects>, StoreError> {
        NoOutside.objects(url)
    }

    #[cfg(feature = "kafka")]
    fn broker(&self, place: &BrokerPlace) -> Result<Box<dyn Broker>, StoreError> {
        carnet_connectors::open_broker(place)
    }

    #[cfg(feature = "aws")]
    fn aws(&self, place: &AwsPlace) -> Result<Box<dyn Aws>, StoreError> {
        carnet_connectors::open_aws(place, &keys())
    }

    #[cfg(feature = "podman")]
    fn containers(&self, place: &ContainerPlace) -> Result<Box<dyn ContainerRuntime>, StoreError> {
        Ok(carnet_connectors::open_containers(place))
    }

    #[cfg(feature = "qemu")]
    fn machines(&self, place: &MachinePlace) -> Result<Box<dyn Machines>, StoreError> {
        Ok(carnet_connectors::open_machines(place))
    }

    fn policy(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
        crate::policies::decide(question)
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        Environment::secret(name)
    }
}

/// The keys of the account, for objects and for other services.
#[cfg(feature = "s3")]
fn keys() -> carnet_connectors::S3Keys {
    carnet_connectors::S3Keys {
        id: World.secret("AWS_ACCESS_KEY_ID"),
        secret: World.secret("AWS_SECRET_ACCESS_KEY"),
        token: World.secret("AWS_SESSION_TOKEN"),
    }
}

#[cfg(test)]
mod tests;
