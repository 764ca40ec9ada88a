//! Budgets of an account.

use std::collections::BTreeMap;

use carnet_connect::{AwsAlert, AwsBudget, AwsSpend, StoreError};
use carnet_model::Code;
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::call::{Account, PAGES_MAX, Service, go_on, unless};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    budget: Told,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    budget_type: String,
    time_unit: String,
    budget_limit: Option<Spend>,
    calculated_spend: Option<Calculated>,
    health_status: Option<Health>,
    #[serde(default)]
    cost_filters: BTreeMap<String, Value>,
    #[serde(default)]
    filter_expression: BTreeMap<String, Value>,
    #[serde(default)]
    cost_types: BTreeMap<String, Value>,
    time_period: Option<Period>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    start: Option<Number>,
    end: Option<Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Calculated {
    actual_spend: Option<Spend>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spend {
    amount: String,
    unit: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    // Left out where there is none.
    #[serde(default)]
    notifications: Vec<Alert>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alert {
    notification_type: String,
    comparison_operator: String,
    threshold: Number,
    threshold_type: Option<String>,
}

impl From<Spend> for AwsSpend {
    fn from(Spend { amount, unit }: Spend) -> Self {
        Self { amount, unit }
    }
}

/// A time as the protocol has it: seconds, perhaps with a fraction.
fn seconds(time: &Number) -> Option<i64> {
    let whole = time.to_string();
    whole.split('.').next()?.parse().ok()
}

/// The kinds of cost that are left out. Others than these begin with another word.
fn left_out(types: BTreeMap<String, Value>) -> Vec<String> {
    let left_out = types
        .into_iter()
        .filter(|(name, it)| name.starts_with("Include") && *it == Value::Bool(false));
    left_out.map(|(name, _)| name).collect()
}

/// A budget with its alerts.
pub(super) fn budget(
    account: &Account,
    account_id: &str,
    name: &str,
) -> Result<Option<AwsBudget>, StoreError> {
    let input = json!({"AccountId": account_id, "BudgetName": name, "ShowFilterExpression": true});
    let told = account.call::<One>(Service::Budgets, "DescribeBudget", &input);
    let Some(One { budget: told }) = unless(told, &["NotFoundException"])? else { return Ok(None) };
    Ok(Some(AwsBudget {
        kind: told.budget_type,
        time_unit: told.time_unit,
        limit: told.budget_limit.map(AwsSpend::from),
        spent: told.calculated_spend.and_then(|it| it.actual_spend).map(AwsSpend::from),
        health: told.health_status.and_then(|it| it.status),
        is_filtered: !told.cost_filters.is_empty() || !told.filter_expression.is_empty(),
        leaves_out: left_out(told.cost_types),
        starts_s: told.time_period.as_ref().and_then(|it| seconds(it.start.as_ref()?)),
        ends_s: told.time_period.as_ref().and_then(|it| seconds(it.end.as_ref()?)),
        alerts: alerts(account, account_id, name)?,
    }))
}

fn alerts(account: &Account, account_id: &str, name: &str) -> Result<Vec<AwsAlert>, StoreError> {
    let action = "DescribeNotificationsForBudget";
    let mut input = json!({"AccountId": account_id, "BudgetName": name, "MaxResults": 100});
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let page: Page = account.call(Service::Budgets, action, &input)?;
        found.extend(page.notifications.into_iter().map(|it| AwsAlert {
            kind: it.notification_type,
            operator: it.comparison_operator,
            threshold: it.threshold.to_string(),
            threshold_type: it.threshold_type,
        }));
        match page.next_token {
            Some(token) if !token.is_empty() => go_on(&mut input, "NextToken", token),
            Some(_) | None => return Ok(found),
        }
    }
    let what = format!("{action} has more than {PAGES_MAX} pages");
    Err(StoreError::new(Code::STORE_UNSUPPORTED, what))
}
