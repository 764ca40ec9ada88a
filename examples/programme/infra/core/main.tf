# What stays when the demo is destroyed: the names of the stores of evidence and archive.
terraform {
  backend "local" { path = "../../state/core.tfstate" }
}

variable "evidence_bucket" { type = string }
variable "archive_bucket" { type = string }
variable "budget" { type = string }

resource "terraform_data" "evidence" { input = var.evidence_bucket }
resource "terraform_data" "archive" { input = var.archive_bucket }
resource "terraform_data" "budget" { input = var.budget }

output "evidence_bucket" { value = terraform_data.evidence.output }
output "archive_bucket" { value = terraform_data.archive.output }
output "budget" { value = terraform_data.budget.output }
