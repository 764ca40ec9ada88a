# How long content may be kept: `P<days>D`, or a time in UTC. Policies have no clock: `input.now` is
# the time of the decision.
package carnet.admission

retention := input.bundle.governance.retention

deny contains {
	"class": "policy_denied",
	"code": "retention.too_long",
	"subject": input.bundle.source_provider,
	"message": sprintf("kept for %d days, and %d are the most here", [days, data.retention_days_max]),
	"remedy": "shorten the retention at the source, and export again",
} if {
	days := retention_days
	days > data.retention_days_max
}

deny contains {
	"class": "policy_denied",
	"code": "retention.expired",
	"subject": input.bundle.source_provider,
	"message": sprintf("it had to be erased at %s", [retention]),
	"remedy": "erase it, and do not move it",
} if {
	regex.match(data.forms.time, retention)
	substring(retention, 0, 19) <= substring(input.now, 0, 19)
}

deny contains {
	"class": "policy_denied",
	"code": "retention.unknown",
	"subject": input.bundle.source_provider,
	"message": sprintf("the retention %s is neither P<days>D nor a time in UTC", [retention]),
	"remedy": "write it in one of these forms, and export again",
} if {
	not regex.match(data.forms.days, retention)
	not regex.match(data.forms.time, retention)
}

retention_days := to_number(trim_suffix(trim_prefix(retention, "P"), "D")) if {
	regex.match(data.forms.days, retention)
}
