# Whose word counts where something comes from. That their keys are known is for the gate
# `authority`; here it is which roles must be filled.
package carnet.admission

deny contains {
	"class": "authority_missing_or_invalid",
	"code": "authority.owner_not_accepted",
	"subject": owner,
	"message": sprintf("%s is none of those from whom something is taken", [owner]),
	"remedy": "agree with them first, then have them added to the policy",
} if {
	owner := input.authority.owner
	not owner in data.owners
}

deny contains {
	"class": "authority_missing_or_invalid",
	"code": "authority.role_missing",
	"subject": input.bundle.source_provider,
	"message": sprintf("nobody at the source had the role %s", [role]),
	"remedy": "have somebody take the role there, and export again",
} if {
	some role in data.roles_required
	count([1 | some one in input.authority.principals; role in one.roles]) == 0
}
