"""The scenario runner: pins a run, and is the only one that says READY. It takes a lease on the
scenario first, so that two runners cannot both say it."""

from eventplatform import bus, database, task
from eventplatform.config import CONTROL, OUTPUTS, TOPICS, canonical, now, sha256
from eventplatform.database import govern, one
from eventplatform.oracle import SORT_KEYS
from eventplatform.store import Bucket, Evidence, WrittenAlready


def pin(config):
    """Writes run.json before anything of the run starts, or finds that it says the same, whoever wrote
    it. A conflicting one fails closed."""
    evidence = Evidence(config)
    wanted = {
        "scenario_run_id": config.scenario_run_id, "env": "dev_min",
        "config": config.settings, "config_digest": config.config_digest,
        "config_digest_algo": "sha256", "config_canonical_form": "json_sorted_keys_v1",
        "image_tag": config.handle("IMAGE_TAG"), "image_digest": config.handle("IMAGE_DIGEST"),
        "git_sha": config.handle("GIT_SHA")}
    try:
        evidence.write("run.json", wanted)
    except WrittenAlready:
        there = evidence.read("run.json")
        different = sorted(name for name, value in wanted.items() if there.get(name) != value)
        if different:
            raise SystemExit(f"RUN_PIN_CONFLICT: run.json says otherwise about {', '.join(different)}; "
                             "a changed configuration needs a new run id") from None
    if evidence.digest("run_started.json") is None:
        evidence.write("run_started.json", {
            "scenario_run_id": config.scenario_run_id, "phase_id": "P1",
            "run_ref": evidence.pinned("run.json"), "config_digest": config.config_digest})
    connection = database.connect(config)
    task.enroll(connection, config, "pin")
    with connection, connection.cursor() as cursor:
        for (topic, partition), offset in bus.watermarks(config, TOPICS).items():
            cursor.execute(
                "insert into run_offset values (%s, %s, %s, %s) on conflict do nothing",
                (config.platform_run_id, topic, partition, offset))
    return {"config_digest": config.config_digest}


def equivalence_key(config, bucket):
    """What makes two scenarios the same; nothing that is unique to a run may be in it."""
    manifests = [bucket.get(f"{config.view_path(o)}/_stream_view_manifest.json") for o in sorted(OUTPUTS)]
    return sha256(canonical({
        "oracle_input_manifest_uri": f"s3://{bucket.name}/{config.oracle_path}",
        "oracle_input_manifest_sha256": sha256(b"".join(manifests)),
        "oracle_required_output_ids": sorted(OUTPUTS),
        "oracle_sort_key_by_output_id": {output: SORT_KEYS for output in sorted(OUTPUTS)},
        "config_digest": config.config_digest}))


def take_lease(cursor, config, key, holder):
    """The generation of the lease, or an end: LEASE_BUSY while another holder's has not run out."""
    generation = one(cursor, """
        insert into scenario_lease values (%s, %s, %s, 1, now() + interval '60 seconds')
        on conflict (equivalence_key) do update
          set holder = excluded.holder, platform_run_id = excluded.platform_run_id,
              generation = scenario_lease.generation + 1, expires_at = excluded.expires_at
          where scenario_lease.expires_at < now()
        returning generation""", (key, holder, config.platform_run_id))
    if generation is None:
        raise SystemExit("LEASE_BUSY: another runner holds the lease on this scenario")
    return generation


def ready(config):
    evidence = Evidence(config)
    if evidence.read("oracle/checker_pass.json") is None:
        raise SystemExit("the checker has not passed: no READY")
    if evidence.read("ingest/ig_ready.json") is None:
        raise SystemExit("the ingest gate has not shown that it is ready: no READY")
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_OBJECT_STORE_BUCKET"))
    key, holder = equivalence_key(config, bucket), f"sr:{task.task_arn()}"
    connection = database.connect(config)
    with connection, connection.cursor() as cursor:
        generation = take_lease(cursor, config, key, holder)
    facts = {
        "scenario_run_id": config.scenario_run_id, "phase_id": "P5",
        "stream_views": {o: f"s3://{bucket.name}/{config.view_path(o)}" for o in sorted(OUTPUTS)},
        "traffic_output_ids": ["s3_event_stream_with_fraud_6B"]}
    facts_ref = evidence.write("sr/facts_view.json", facts)
    signal = {
        "run_id": config.scenario_run_id, "platform_run_id": config.platform_run_id,
        "scenario_run_id": config.scenario_run_id, "facts_view_ref": facts_ref,
        "bundle_hash": evidence.digest("sr/facts_view.json"),
        "message_id": sha256(canonical([config.platform_run_id, key])),
        "run_config_digest": config.config_digest, "manifest_fingerprint": config.manifest_fingerprint,
        "parameter_hash": config.parameter_hash, "scenario_id": config.settings["scenario_id"]}
    place = bus.Publisher(config, "scenario-runner").send(CONTROL, config.platform_run_id, signal)
    evidence.write("sr/ready_publish_receipt.json", {
        "scenario_run_id": config.scenario_run_id, "phase_id": "P5", "topic": place["topic"],
        "partition": place["partition"], "offset": place["offset"], "timestamp": place["timestamp"],
        "message_id": signal["message_id"], "run_config_digest": config.config_digest,
        "digests": {"facts_view": signal["bundle_hash"]}})
    evidence.write("sr/lease.json", {
        "scenario_run_id": config.scenario_run_id, "phase_id": "P5", "equivalence_key": key,
        "holder": holder, "generation": generation, "taken_for": "READY", "released_at_utc": now()})
    with connection, connection.cursor() as cursor:
        govern(cursor, config, "RUN_STARTED", "sr", ready_offset=place["offset"])
        cursor.execute("update scenario_lease set expires_at = now() where equivalence_key = %s "
                       "and holder = %s and generation = %s", (key, holder, generation))
    return {"offset": place["offset"]}
