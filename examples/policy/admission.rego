# What is let in: a whole input, against which nothing is held.
package carnet.admission

default allow := false

allow if {
	is_whole
	count(deny) == 0
}

# Each rule that denies looks at a part of the input. Where a part is missing, a rule has nothing to
# say; so the parts are asked for here.
is_whole if {
	is_string(input.now)
	is_string(input.bundle.scenario)
	is_string(input.bundle.source_provider)
	is_string(input.bundle.governance.jurisdiction)
	is_string(input.bundle.governance.classification)
	is_string(input.bundle.governance.retention)
	is_object(input.bundle.dependencies)
	is_string(input.target.name)
	is_string(input.target.jurisdiction)
	is_array(input.target.classifications)
	is_array(input.authority.principals)
}
