# Where something may run or lie, and what it may depend on there.
package carnet.admission

deny contains {
	"class": "policy_denied",
	"code": "placement.label_missing",
	"subject": input.target.name,
	"message": sprintf("what is %s must lie where the label %s is", [level, label]),
	"remedy": sprintf("choose a target with the label %s", [label]),
} if {
	level := input.bundle.governance.classification
	some label in object.get(data.placement, level, [])
	not label in object.get(input.target, "placement", [])
}

deny contains {
	"class": "policy_denied",
	"code": "placement.scenario_not_taken",
	"subject": input.target.name,
	"message": sprintf("bundles of the kind %s are not taken here", [scenario]),
	"remedy": concat("", ["send one of ", concat(", ", data.scenarios)]),
} if {
	scenario := input.bundle.scenario
	not scenario in data.scenarios
}

deny contains {
	"class": "dependency_unavailable_fail_closed",
	"code": "dependency.not_substitutable",
	"subject": item.id,
	"message": sprintf("it does not work without %s, and nothing can take its place", [item.what]),
	"remedy": object.get(item, "alternative", "have the dependency accepted, with what makes up for it"),
} if {
	some item in object.get(input.bundle.dependencies, "dependencies", [])
	item.critical
	not item.substitutable
	not item.accepted
	not item.id in data.dependencies_accepted
}
