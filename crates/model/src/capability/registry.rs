//! The list of all capabilities.

use super::{Descriptor, command, file, http, knowledge, object, service, snapshot, sql};

static ALL: [Descriptor; 22] = [
    command::DESCRIPTOR,
    http::DESCRIPTOR,
    sql::DESCRIPTOR,
    file::DESCRIPTOR,
    object::DESCRIPTOR,
    service::DESCRIPTOR,
    snapshot::EXPORT,
    snapshot::VERIFY,
    snapshot::IMPORT,
    knowledge::DESCRIBE_SOURCE,
    knowledge::DESCRIBE_TARGET,
    knowledge::RAISE_FLAG,
    knowledge::PIN_SOURCE,
    knowledge::EXPORT_SNAPSHOT,
    knowledge::PLACE_SNAPSHOT,
    knowledge::REHASH_SNAPSHOT,
    knowledge::LOAD_RECORDS,
    knowledge::PLACE_ARTIFACTS,
    knowledge::READ_BACK,
    knowledge::SWITCH,
    knowledge::LOWER_FLAG,
    knowledge::ARCHIVE_SNAPSHOT,
];

/// All capabilities that there are.
pub fn all() -> &'static [Descriptor] {
    &ALL
}
