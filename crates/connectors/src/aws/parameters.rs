//! Parameters of SSM.

use std::collections::BTreeMap;

use carnet_connect::{AwsDepth, AwsParameter, StoreError};
use carnet_model::{Code, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Account, PAGES_MAX, Service, go_on, unless};

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
            Some(token) if !token.is_empty() => go_on(&mut input, "NextToken", token),
            Some(_) | None => return Ok(found),
        }
    }
    let what = format!("there are more than {} parameters below {path}", 10 * PAGES_MAX);
    Err(StoreError::new(Code::STORE_UNSUPPORTED, what).remedy("name a path with fewer"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    parameter: Whole,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Whole {
    r#type: String,
    value: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    version: u64,
}

/// The type of a parameter that the service encrypts.
const SECURE: &str = "SecureString";

/// A parameter, as it is now or at a version.
pub(super) fn get(
    account: &Account,
    name: &str,
    version: Option<u64>,
) -> Result<Option<AwsParameter>, StoreError> {
    let which = version.map_or_else(|| name.to_owned(), |version| format!("{name}:{version}"));
    let input = json!({"Name": which, "WithDecryption": true});
    let told = account.call::<One>(Service::Ssm, "GetParameter", &input);
    let told = unless(told, &["ParameterNotFound", "ParameterVersionNotFound"])?;
    let parameter = told.map(|One { parameter: Whole { r#type, value, version } }| AwsParameter {
        version,
        value: Secret::new(value),
        is_encrypted: r#type == SECURE,
    });
    match (&parameter, version) {
        (Some(told), Some(asked)) if told.version != asked => {
            let what = format!("the service tells of another version of {name}");
            Err(StoreError::new(Code::STORE_MALFORMED, what).remedy("check the endpoint"))
        }
        _ => Ok(parameter),
    }
}

/// Puts a parameter.
pub(super) fn put(
    account: &Account,
    name: &str,
    value: &Secret,
    encrypt: bool,
    replace: bool,
) -> Result<u64, StoreError> {
    let kind = if encrypt { SECURE } else { "String" };
    let input = json!({"Name": name, "Value": value.reveal(), "Type": kind, "Overwrite": replace});
    let told = account.call::<Put>(Service::Ssm, "PutParameter", &input);
    let told = unless(told, &["ParameterAlreadyExists"])?;
    told.map(|it| it.version).ok_or_else(|| {
        let what = format!("there is a parameter {name} already");
        StoreError::new(Code::OBJECT_EXISTS, what).remedy("see who put it there")
    })
}

/// Takes a parameter away.
pub(super) fn delete(account: &Account, name: &str) -> Result<bool, StoreError> {
    let told = account.call::<Value>(Service::Ssm, "DeleteParameter", &json!({"Name": name}));
    Ok(unless(told, &["ParameterNotFound"])?.is_some())
}
