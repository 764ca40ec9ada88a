//! Services of AWS, and what speaks like them: its JSON protocol (1.1), signed with version 4 of its
//! signatures by `aws-sigv4`, sent like every other request. Nothing is kept between requests and
//! nothing is asked twice: a service that asks for patience is reported.
//!
//! Reading order: `call` signs and sends one request and names what is refused, `parameters` (SSM),
//! `services` and `serving` (ECS: what a cluster runs, and what one service is set to), `jobs`
//! (tasks that end by themselves), `images` (ECR) and `budgets` ask.

mod budgets;
mod call;
mod images;
mod jobs;
mod parameters;
mod services;
mod serving;

use std::collections::BTreeMap;

use carnet_connect::{
    Aws, AwsBudget, AwsChange, AwsDefinition, AwsDepth, AwsJob, AwsJobTask, AwsParameter, AwsPlace,
    AwsRepository, AwsService, AwsServing, AwsTask, StoreError,
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

    fn definition(&self, name: &str) -> Result<AwsDefinition, StoreError> {
        services::definition(self, name)
    }

    fn service(&self, cluster: &str, name: &str) -> Result<Option<AwsServing>, StoreError> {
        serving::service(self, cluster, name)
    }

    fn set_service(
        &self,
        cluster: &str,
        name: &str,
        definition: &str,
        desired: u32,
    ) -> Result<AwsChange<()>, StoreError> {
        serving::set(self, cluster, name, definition, desired)
    }

    fn run_task(&self, job: &AwsJob) -> Result<AwsChange<AwsJobTask>, StoreError> {
        jobs::run(self, job)
    }

    fn job_task(&self, cluster: &str, address: &str) -> Result<Option<AwsJobTask>, StoreError> {
        jobs::one(self, cluster, address)
    }

    fn job_tasks(
        &self,
        cluster: &str,
        family: &str,
        started_by: &str,
    ) -> Result<Vec<AwsJobTask>, StoreError> {
        jobs::started_by(self, cluster, family, started_by)
    }

    fn budget(&self, account_id: &str, name: &str) -> Result<Option<AwsBudget>, StoreError> {
        budgets::budget(self, account_id, name)
    }

    fn repository(&self, name: &str, tag: &str) -> Result<Option<AwsRepository>, StoreError> {
        images::repository(self, name, tag)
    }
}
