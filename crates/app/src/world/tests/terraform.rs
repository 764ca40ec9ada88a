//! Terraform itself, with the resources that are built into it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Error, Fail, NoData, Pass, says};

const MAIN: &str = r#"
variable "size" { default = "small" }
resource "terraform_data" "core" { input = var.size }
module "demo" { source = "./demo" }
output "size" { value = terraform_data.core.output }
output "token" {
  value     = "s3cret"
  sensitive = true
}
"#;

/// Runs Terraform by hand; `false` where this machine has none.
fn by_hand(folder: &Path, args: &[&str]) -> bool {
    let mut command = Command::new("terraform");
    command.args(args).current_dir(folder).env("CHECKPOINT_DISABLE", "1");
    let Ok(output) = command.output() else {
        eprintln!("skipped: there is no terraform on this machine");
        return false;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn a_configuration_is_as_it_was_applied() {
    let plan = tempfile::tempdir().unwrap();
    let folder = plan.path().join("infra");
    std::fs::create_dir_all(folder.join("demo")).unwrap();
    std::fs::write(folder.join("main.tf"), MAIN).unwrap();
    std::fs::write(folder.join("demo/main.tf"), "resource \"terraform_data\" \"x\" {}\n").unwrap();
    let says = |more: &Value, verdict, reason: &str| {
        let mut with = json!({"place": {"folder": "infra"}});
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        says(plan.path(), "terraform", &with, verdict, reason);
    };
    if !by_hand(&folder, &["init", "-input=false"]) {
        return;
    }
    says(&json!({}), NoData, "the state of infra holds no resource");
    by_hand(&folder, &["apply", "-auto-approve", "-input=false"]);
    let forbidden =
        json!({"forbidden": ["aws_lb", "aws_nat_gateway"], "outputs": {"size": "small"}});
    says(&forbidden, Pass, "the plan of infra is empty over 2 resources, none of a forbidden kind");
    says(
        &json!({"forbidden": ["terraform_data"]}),
        Fail,
        "holds terraform_data, which is forbidden",
    );
    says(&json!({"outputs": {"size": "large"}}), Fail, "is \"small\", and must be \"large\"");
    says(&json!({"outputs": {"none": 1}}), Fail, "the output none of infra is missing");
    says(&json!({"outputs": {"token": "s3cret"}}), Fail, "is sensitive");
    let other = json!({"place": {"folder": "infra", "variables": {"size": "large"}}});
    says(&other, Fail, "the plan of infra is not empty: 0 to add, 1 to change, 0 to destroy");
    std::fs::remove_file(folder.join("demo/main.tf")).unwrap();
    says(&json!({}), Fail, "1 to destroy");
    std::fs::write(folder.join("main.tf"), "resource {").unwrap();
    says(&json!({}), Error, "");
    let none = json!({"place": {"folder": "infra", "program": "no-such-terraform"}});
    says(&none, Error, "cannot be started");
}
