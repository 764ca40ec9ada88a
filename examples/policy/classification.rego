# How confidential the content may be for a target.
package carnet.admission

deny contains {
	"class": "policy_denied",
	"code": "classification.not_cleared",
	"subject": input.target.name,
	"message": sprintf("the target may not hold what is %s", [level]),
	"remedy": "choose a target that is cleared for it",
} if {
	level := input.bundle.governance.classification
	level in data.classifications
	not level in input.target.classifications
}

deny contains {
	"class": "policy_denied",
	"code": "classification.unknown",
	"subject": input.bundle.source_provider,
	"message": sprintf("the classification %s is not known here", [level]),
	"remedy": concat("", ["classify it as one of ", concat(", ", data.classifications)]),
} if {
	level := input.bundle.governance.classification
	not level in data.classifications
}
