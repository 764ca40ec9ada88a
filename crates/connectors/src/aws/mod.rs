//! Services of AWS, and what speaks like them: its JSON protocol (1.1), signed with version 4 of its
//! signatures by `aws-sigv4`, sent like every other request. Nothing is kept between requests and
//! nothing is asked twice: a service that asks for patience is reported.
//!
//! Reading order: `call` signs and sends one request and names what is refused, `parameters` (SSM),
//! `services` (ECS) and `images` (ECR) ask.

mod call;
mod images;
mod parameters;
mod services;

use std::collections::BTreeMap;

use carnet_connect::{
    Aws, AwsDepth, AwsParameter, AwsPlace, AwsRepository, AwsService, AwsTask, StoreError,
};
use carnet_model::Secret;

use self::call::Account;
use crate::s3::S3Keys;

/// Opens the services of a place. Nothing is asked of them yet.
pub fn open_aws(place: &AwsPlace, keys: &S3Keys) -> Result<Box<dyn Aws>, StoreError> {
    Ok(Box::new(Account::new(place, keys)?))
}

impl Aws for Account {
    fn parameters(
        &self,
        path: &str,
        depth: AwsDepth,
    ) -> Result<BTreeMap<String, Option<Secret>>, StoreError> {
        parameters::below(self, path, depth)
    }

    fn parameter(
        &self,
        name: &str,
        version: Option<u64>,
    ) -> Result<Option<AwsParameter>, StoreError> {
        parameters::get(self, name, version)
    }

    fn put_parameter(
        &self,
        name: &str,
        value: &Secret,
        encrypt: bool,
        replace: bool,
    ) -> Result<u64, StoreError> {
        parameters::put(self, name, value, encrypt, replace)
    }

    fn delete_parameter(&self, name: &str) -> Result<bool, StoreError> {
        parameters::delete(self, name)
    }

    fn services(&self, cluster: &str) -> Result<Option<Vec<AwsService>>, StoreError> {
        services::services(self, cluster)
    }

    fn tasks(&self, cluster: &str) -> Result<Vec<AwsTask>, StoreError> {
        services::tasks(self, cluster)
    }

    fn repository(&self, name: &str, tag: &str) -> Result<Option<AwsRepository>, StoreError> {
        images::repository(self, name, tag)
    }
}
