//! A budget of an account is the pinned one, tells in time, and is not spent.

use std::cmp::Ordering;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::{compare, is_amount};
use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_aws, check_range, check_text, limit_s};

/// A budget of AWS Budgets, and what is demanded of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The URL of the service; Amazon's own if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region that signs for it. Default: `us-east-1`.
    #[serde(default = "us_east_1")]
    pub region: String,
    /// The account.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account_id: String,
    /// The name of the budget.
    #[schemars(regex(pattern = r"^[^:\\]{1,100}$"))]
    pub budget: String,
    /// The most that it may be for.
    pub limit: Spend,
    /// For how long it is. Default: `MONTHLY`.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// What is spent, or which part of the limit, when somebody must be told.
    pub alerts: Alerts,
    /// Whether it may count a part of the account alone. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filtered: bool,
    /// How long an answer may take, in seconds.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// How much, in digits, such as "30" or "28.50".
    pub amount: String,
    /// Of what, such as USD.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub unit: String,
}

/// For how long a budget is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeUnit {
    /// A day.
    Daily,
    /// A month.
    #[default]
    Monthly,
    /// Three months.
    Quarterly,
    /// A year.
    Annually,
}

impl TimeUnit {
    const fn word(self) -> &'static str {
        match self {
            Self::Daily => "DAILY",
            Self::Monthly => "MONTHLY",
            Self::Quarterly => "QUARTERLY",
            Self::Annually => "ANNUALLY",
        }
    }
}

/// When somebody must be told of what is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// What the numbers are: `absolute`, of the unit of the limit, or `percentage`, of the limit.
    #[serde(default)]
    pub r#type: AlertType,
    /// The numbers, in digits.
    pub at: Vec<String>,
}

/// What the number of an alert is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertType {
    /// An amount of the unit of the limit.
    #[default]
    Absolute,
    /// A part of the limit, in hundredths.
    Percentage,
}

impl AlertType {
    const fn word(self) -> &'static str {
        match self {
            Self::Absolute => "ABSOLUTE_VALUE",
            Self::Percentage => "PERCENTAGE",
        }
    }
}

/// What the service told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The time, in seconds since 1970, UTC; absent if no clock was read.
    pub now_s: Option<i64>,
    /// The budget; absent if there is none.
    pub budget: Option<Budget>,
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What it is about.
    pub kind: String,
    /// For how long it is.
    pub time_unit: String,
    /// The most that may be spent.
    pub limit: Option<Spend>,
    /// What was spent.
    pub spent: Option<Spend>,
    /// Whether what it is computed from is sound, where it is told.
    pub health: Option<String>,
    /// Whether it counts a part of the account alone.
    pub is_filtered: bool,
    /// The kinds of cost that it leaves out.
    pub leaves_out: Vec<String>,
    /// When it begins, in seconds since 1970, UTC, where it is told.
    pub starts_s: Option<i64>,
    /// When it ends.
    pub ends_s: Option<i64>,
    /// When somebody is told.
    pub alerts: Vec<Alert>,
}

/// When somebody is told of a budget, in the words of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Of what is spent, or of what will be.
    pub kind: String,
    /// How it is compared.
    pub operator: String,
    /// With which number.
    pub threshold: String,
    /// What that number is.
    pub threshold_type: Option<String>,
}

fn us_east_1() -> String {
    "us-east-1".to_owned()
}

const REMEDY: &str =
    "bring the budget to what the plan demands, or stop what spends; then run again";
/// What only makes what is spent look less: leaving it out counts more.
const LESSENING: [&str; 3] = ["IncludeCredit", "IncludeDiscount", "IncludeRefund"];

const LATER: &str = "a new budget tells nothing for some hours: run again later";

/// What is wrong where something must be so.
fn unless(right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong()) }
}

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (name, count) = (&self.budget, self.alerts.at.len() + 2);
        let no_data = |what: &str| Judgement::no_data(0, format!("{name} {what}"), LATER);
        let Some(budget) = &facts.budget else {
            let reason = format!("there is no budget {name} in {}", self.account_id);
            return Judgement::no_data(0, reason, REMEDY);
        };
        if let Err(wrong) = self.right(budget) {
            return Judgement::fail(count, wrong, REMEDY);
        }
        if let Err(wrong) = self.counts(budget) {
            return Judgement::fail(count, wrong, REMEDY);
        }
        match (facts.now_s, budget.starts_s, budget.ends_s) {
            (None, ..) => return Judgement::no_data(0, "no clock was read", "run again"),
            (Some(now), _, Some(ends)) if ends <= now => {
                return Judgement::fail(count, format!("{name} is over"), REMEDY);
            }
            (Some(now), Some(starts), _) if now < starts => {
                return Judgement::fail(count, format!("{name} has not begun"), REMEDY);
            }
            (Some(_), ..) => {}
        }
        if budget.health.as_ref().is_some_and(|it| it != "HEALTHY") {
            return no_data("is computed from data that is not sound");
        }
        let (Some(limit), Some(spent)) = (&budget.limit, &budget.spent) else {
            let what = if budget.limit.is_none() { "tells no limit" } else { "tells no spend" };
            return no_data(what);
        };
        if let Err(wrong) = self.left(limit, spent) {
            return Judgement::fail(count, wrong, REMEDY);
        }
        let alerts = counted(self.alerts.at.len(), "alert", "alerts");
        let Spend { amount, unit } = limit;
        let spent = &spent.amount;
        Judgement::pass(
            count,
            format!("{spent} of {amount} {unit} of {name} are spent, with {alerts}"),
        )
    }

    /// Whether it is the pinned one.
    fn right(&self, budget: &Budget) -> Result<(), String> {
        let (name, pinned) = (&self.budget, &self.limit);
        unless(budget.kind == "COST", || format!("{name} is about {}, not COST", budget.kind))?;
        let must = self.time_unit.word();
        unless(budget.time_unit == must, || format!("{name} is {}, not {must}", budget.time_unit))?;
        if let Some(Spend { amount, unit }) = &budget.limit {
            unless(*unit == pinned.unit, || format!("{name} is in {unit}, not {}", pinned.unit))?;
            let above = || format!("{name} is for {amount} {unit}, above {}", pinned.amount);
            unless(
                matches!(compare(amount, &pinned.amount), Some(Ordering::Less | Ordering::Equal)),
                above,
            )?;
        }
        self.alerts_are_right(budget)
    }

    /// Whether it counts all that is spent.
    fn counts(&self, budget: &Budget) -> Result<(), String> {
        let name = &self.budget;
        unless(self.filtered || !budget.is_filtered, || {
            format!("{name} has a filter, and counts a part of the account alone")
        })?;
        let left_out = budget.leaves_out.iter().find(|it| !LESSENING.contains(&it.as_str()));
        match left_out {
            Some(left_out) => Err(format!("{name} leaves costs out: {left_out} is false")),
            None => Ok(()),
        }
    }

    /// Whether all alerts are there that must be, and come before all is spent.
    fn alerts_are_right(&self, budget: &Budget) -> Result<(), String> {
        let name = &self.budget;
        let is_late = |at: &&String| {
            let most = budget.limit.as_ref().map(|it| it.amount.as_str());
            let of_amount = self.alerts.r#type == AlertType::Absolute;
            of_amount && most.and_then(|most| compare(at, most)) == Some(Ordering::Greater)
        };
        if let Some(at) = self.alerts.at.iter().find(is_late) {
            return Err(format!(
                "the alert of {name} at {} comes when all is spent",
                self.said(at)
            ));
        }
        let is_alert = |alert: &Alert, at: &str| {
            alert.kind == "ACTUAL"
                && alert.operator == "GREATER_THAN"
                && alert.threshold_type.as_deref() == Some(self.alerts.r#type.word())
                && compare(&alert.threshold, at) == Some(Ordering::Equal)
        };
        let is_missing = |at: &&String| !budget.alerts.iter().any(|alert| is_alert(alert, at));
        match self.alerts.at.iter().find(is_missing) {
            Some(at) => {
                Err(format!("{name} has no alert when more than {} is spent", self.said(at)))
            }
            None => Ok(()),
        }
    }

    /// Whether something of it is left.
    fn left(&self, limit: &Spend, spent: &Spend) -> Result<(), String> {
        let name = &self.budget;
        let Spend { amount, unit } = spent;
        unless(*unit == limit.unit, || format!("{name} counts what is spent in {unit}"))?;
        // Credits and refunds may be more than what was spent.
        let is_below_zero = amount.strip_prefix('-').is_some_and(is_amount);
        unless(is_below_zero || compare(amount, &limit.amount) == Some(Ordering::Less), || {
            format!("{amount} {unit} of {name} are spent, and {} is all", limit.amount)
        })
    }

    fn said(&self, at: &str) -> String {
        match self.alerts.r#type {
            AlertType::Absolute => format!("{at} {}", self.limit.unit),
            AlertType::Percentage => format!("{at} % of it"),
        }
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        copies.add("clock_not_read", |facts| facts.now_s = None);
        let mut add = |name, damage: &dyn Fn(&mut Budget)| {
            copies.add(name, |facts| facts.budget.iter_mut().for_each(damage));
        };
        let other_unit = if self.limit.unit == "USD" { "EUR" } else { "USD" };
        let another = if self.time_unit == TimeUnit::Monthly { "ANNUALLY" } else { "MONTHLY" };
        // A digit before it makes every amount larger.
        let larger = |amount: &str| format!("1{amount}");
        let all = |budget: &Budget| budget.limit.clone();
        add("kind_other", &|it| "USAGE".clone_into(&mut it.kind));
        add("time_unit_other", &|it| another.clone_into(&mut it.time_unit));
        add("not_sound", &|it| it.health = Some("UNHEALTHY".to_owned()));
        add("limit_not_told", &|it| it.limit = None);
        if !self.filtered {
            add("filtered", &|it| it.is_filtered = true);
        }
        add("costs_left_out", &|it| it.leaves_out.push("IncludeTax".to_owned()));
        let now_s = facts.now_s.unwrap_or_default();
        add("over", &|it| it.ends_s = Some(now_s));
        add("not_begun", &|it| it.starts_s = Some(now_s.saturating_add(1)));
        add("spend_is_no_amount", &|it| {
            it.spent.iter_mut().for_each(|it| "-".clone_into(&mut it.amount));
        });
        // Less than this is no alert.
        let least = "0.000001";
        let is_above = |at: &String| compare(at, least) == Some(Ordering::Greater);
        if self.alerts.r#type == AlertType::Absolute && self.alerts.at.iter().any(is_above) {
            add("alert_when_all_is_spent", &|it| {
                let spend = |amount: &str| {
                    Some(Spend { amount: amount.to_owned(), unit: self.limit.unit.clone() })
                };
                (it.limit, it.spent) = (spend(least), spend("0"));
            });
        }
        add("limit_above", &|it| {
            it.limit.iter_mut().for_each(|it| it.amount = larger(&self.limit.amount));
        });
        add("limit_unit_other", &|it| {
            it.limit.iter_mut().for_each(|it| other_unit.clone_into(&mut it.unit));
        });
        add("spend_not_told", &|it| it.spent = None);
        add("spend_unit_other", &|it| {
            it.spent.iter_mut().for_each(|it| other_unit.clone_into(&mut it.unit));
        });
        add("all_is_spent", &|it| it.spent = all(it));
        add("more_is_spent", &|it| {
            it.spent = all(it).map(|it| Spend { amount: larger(&it.amount), ..it });
        });
        for at in spots(self.alerts.at.len()).into_iter().filter_map(|it| self.alerts.at.get(it)) {
            let is_it = |alert: &Alert| compare(&alert.threshold, at) == Some(Ordering::Equal);
            add("alert_missing", &|it| it.alerts.retain(|it| !is_it(it)));
            let mut alert = |name, damage: &dyn Fn(&mut Alert)| {
                add(name, &|it| it.alerts.iter_mut().filter(|it| is_it(it)).for_each(damage));
            };
            alert("alert_at_another", &|it| it.threshold = larger(&it.threshold));
            alert("alert_of_a_forecast", &|it| "FORECASTED".clone_into(&mut it.kind));
            alert("alert_below", &|it| "LESS_THAN".clone_into(&mut it.operator));
            alert("alert_type_other", &|it| {
                let is_absolute = self.alerts.r#type == AlertType::Absolute;
                let other = if is_absolute { AlertType::Percentage } else { AlertType::Absolute };
                it.threshold_type = Some(other.word().to_owned());
            });
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_aws("", self.endpoint.as_deref(), &self.region);
        errors.extend(check_text("/budget", &self.budget));
        let digits = "write digits, perhaps with a point, in quotation marks";
        if !is_amount(&self.limit.amount) {
            errors.push(InputError::new("/limit/amount", "is no amount", digits));
        }
        if self.alerts.at.is_empty() {
            let what = "nobody is told of anything";
            errors.push(InputError::new("/alerts/at", what, "name at least one"));
        }
        let most = match self.alerts.r#type {
            AlertType::Absolute => self.limit.amount.as_str(),
            AlertType::Percentage => "100",
        };
        for (number, at) in self.alerts.at.iter().enumerate() {
            let pointer = format!("/alerts/at/{number}");
            if !is_amount(at) {
                errors.push(InputError::new(pointer, "is no amount", digits));
            } else if compare(at, most) == Some(Ordering::Greater) {
                let remedy = "write what comes before the limit";
                errors.push(InputError::new(pointer, "it comes when all is spent", remedy));
            }
        }
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let Spend { amount, unit } = &self.limit;
        let alerts = counted(self.alerts.at.len(), "alert", "alerts");
        format!("{} is for {amount} {unit} at most, has {alerts}, and is not spent", self.budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(kind: &str, at: &[&str]) -> Vec<String> {
        let with = serde_json::json!({
            "account_id": "123456789012", "budget": "b", "limit": {"amount": "30", "unit": "USD"},
            "alerts": {"type": kind, "at": at},
        });
        let rule: Rule = serde_json::from_value(with).unwrap();
        rule.check().into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn alerts_come_before_the_limit() {
        assert!(errors("absolute", &["0.5", "30.00"]).is_empty());
        assert!(errors("percentage", &["33.3", "100"]).is_empty());
        assert_eq!(errors("absolute", &[]), ["/alerts/at"]);
        assert_eq!(errors("absolute", &["10", "30.01"]), ["/alerts/at/1"]);
        assert_eq!(errors("percentage", &["100.5"]), ["/alerts/at/0"]);
        assert_eq!(errors("percentage", &["half"]), ["/alerts/at/0"]);
    }
}
