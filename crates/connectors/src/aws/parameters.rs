//! Parameters of SSM.

use std::collections::BTreeMap;

use carnet_connect::{AwsDepth, StoreError};
use carnet_model::{Code, Secret};
use serde::Deserialize;
use serde_json::json;

use super::call::{Account, PAGES_MAX, Service};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    parameters: Vec<Parameter>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: Option<String>,
}

/// The parameters below a path.
pub(super) fn below(
    account: &Account,
    path: &str,
    depth: AwsDepth,
) -> Result<BTreeMap<String, Option<Secret>>, StoreError> {
    let values = depth == AwsDepth::Values;
    let mut found = BTreeMap::new();
    let mut input = json!({
        "Path": path, "Recursive": !values, "WithDecryption": values, "MaxResults": 10,
    });
    for _ in 0..PAGES_MAX {
        let page: Page = account.call(Service::Ssm, "GetParametersByPath", &input)?;
        for Parameter { name, value } in page.parameters {
            found.insert(name, value.filter(|_| values).map(Secret::new));
        }
        match page.next_token {
            Some(token) if !token.is_empty() => input["NextToken"] = token.into(),
            Some(_) | None => return Ok(found),
        }
    }
    let what = format!("there are more than {} parameters below {path}", 10 * PAGES_MAX);
    Err(StoreError::new(Code::STORE_UNSUPPORTED, what).remedy("name a path with fewer"))
}
