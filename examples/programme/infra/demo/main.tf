# What the demo runs on: broker and topics, buckets, tables, secret. They are made when this is
# applied, and destroyed with it.
terraform {
  backend "local" { path = "../../state/demo.tfstate" }
}

variable "python" { type = string }
variable "lab" { type = string }

resource "terraform_data" "substrate" {
  input = { python = var.python, lab = var.lab }

  provisioner "local-exec" {
    command     = "\"$PYTHON\" ../../platform/lab.py --dir \"$LAB\" up"
    environment = { PYTHON = self.input.python, LAB = self.input.lab }
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "\"$PYTHON\" ../../platform/lab.py --dir \"$LAB\" down"
    environment = { PYTHON = self.input.python, LAB = self.input.lab }
  }
}

output "lab" { value = terraform_data.substrate.output.lab }
