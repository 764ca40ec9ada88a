//! The list of all capabilities.

use super::{
    Descriptor, bundle, command, ecs_service, ecs_task, env_file, erasure, file, http, knowledge,
    object, parameter, policy, service, snapshot, sql, take_back, terraform, vm, workload,
};

static ALL: &[Descriptor] = &[
    command::DESCRIPTOR,
    http::DESCRIPTOR,
    sql::DESCRIPTOR,
    file::DESCRIPTOR,
    object::DESCRIPTOR,
    service::DESCRIPTOR,
    policy::SNAPSHOT,
    policy::ENFORCE,
    snapshot::EXPORT,
    snapshot::VERIFY,
    snapshot::IMPORT,
    erasure::SURVEY,
    erasure::RECORD,
    workload::PLACE,
    workload::START,
    workload::STOP,
    workload::REMOVE,
    vm::PLACE,
    vm::BOOT,
    vm::STOP,
    vm::REMOVE,
    bundle::EXPORT,
    bundle::TRANSFER,
    bundle::VERIFY,
    bundle::IMPORT,
    env_file::DESCRIPTOR,
    parameter::DESCRIPTOR,
    ecs_service::DESCRIPTOR,
    ecs_task::DESCRIPTOR,
    take_back::DESCRIPTOR,
    terraform::APPLY,
    terraform::DESTROY,
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
    ALL
}
