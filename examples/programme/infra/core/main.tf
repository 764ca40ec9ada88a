# What stays when the demo is destroyed: the names of the stores of evidence and archive.
terraform {
  backend "local" { path = "../../state/core.tfstate" }
}

variable "evidence_bucket" { type = string }
variable "archive_bucket" { type = string }
variable "budget" { type = string }
variable "budget_alerts" { type = string }

resource "terraform_data" "evidence" { input = var.evidence_bucket }
resource "terraform_data" "archive" { input = var.archive_bucket }
# Where an account has budgets, these two would be one; the gate demands that they are there as agreed.
resource "terraform_data" "budget" { input = { limit = var.budget, alerts = var.budget_alerts } }

output "evidence_bucket" { value = terraform_data.evidence.output }
output "archive_bucket" { value = terraform_data.archive.output }
output "budget" { value = terraform_data.budget.output.limit }
output "budget_alerts" { value = terraform_data.budget.output.alerts }
