# Where data of a jurisdiction may go.
package carnet.admission

deny contains {
	"class": "jurisdiction_denied",
	"code": "jurisdiction.not_allowed",
	"subject": input.target.name,
	"message": sprintf("data under the law of %s must not go to %s", [from, to]),
	"remedy": concat("", ["choose a target in one of ", concat(", ", sort(allowed))]),
} if {
	from := input.bundle.governance.jurisdiction
	to := input.target.jurisdiction
	allowed := data.jurisdictions[from]
	not to in allowed
}

deny contains {
	"class": "jurisdiction_denied",
	"code": "jurisdiction.unknown",
	"subject": input.bundle.source_provider,
	"message": sprintf("nothing says where data under the law of %s may go", [from]),
	"remedy": "have the jurisdiction added to the policy, or correct the governance metadata",
} if {
	from := input.bundle.governance.jurisdiction
	not data.jurisdictions[from]
}
