//! Repositories of ECR.

use carnet_connect::{AwsRepository, StoreError};
use carnet_model::Code;
use serde::Deserialize;
use serde_json::json;

use super::call::{Account, Service, unless};

#[derive(Deserialize)]
struct Repositories {
    repositories: Vec<Repository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    repository_name: String,
    image_tag_mutability: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Images {
    image_details: Vec<Image>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    image_digest: String,
    #[serde(default)]
    image_tags: Vec<String>,
}

/// A repository with what a tag means in it.
pub(super) fn repository(
    account: &Account,
    name: &str,
    tag: &str,
) -> Result<Option<AwsRepository>, StoreError> {
    let input = json!({"repositoryNames": [name]});
    let told = account.call::<Repositories>(Service::Ecr, "DescribeRepositories", &input);
    let told = unless(told, &["RepositoryNotFoundException"])?;
    let mut told = told.into_iter().flat_map(|it| it.repositories);
    let Some(repository) = told.find(|it| it.repository_name == name) else { return Ok(None) };
    let input = json!({"repositoryName": name, "imageIds": [{"imageTag": tag}]});
    let images = account.call::<Images>(Service::Ecr, "DescribeImages", &input);
    let images = unless(images, &["ImageNotFoundException"])?;
    let mut images = images.into_iter().flat_map(|it| it.image_details);
    let digest = match images.next() {
        None => None,
        Some(image) if images.next().is_none() && image.image_tags.iter().any(|it| it == tag) => {
            Some(image.image_digest)
        }
        Some(_) => {
            let what = format!("the registry answers with other images than the one tagged {tag}");
            return Err(StoreError::new(Code::STORE_MALFORMED, what).remedy("check the endpoint"));
        }
    };
    Ok(Some(AwsRepository { mutability: repository.image_tag_mutability, digest }))
}
