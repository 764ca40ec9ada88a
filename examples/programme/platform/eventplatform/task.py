"""Where a role runs: the task that it is, and the image that it was started from. Both are told to
it by what starts it, and each start is a row that nobody can change."""

import os
from datetime import timezone

from eventplatform.config import DAEMONS, now


def task_arn():
    """As the one who started it named it; a bare process names itself."""
    return os.environ.get("TASK_ARN") or f"process:{os.uname().nodename}:{os.getpid()}"


def image_digest():
    told = os.environ.get("IMAGE_DIGEST")
    if not told:
        raise SystemExit("IMAGE_DIGEST is not set: a role says which image it was started from")
    return told


def enroll(connection, config, role):
    kind = "service" if role in DAEMONS else "job"
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into task_run (platform_run_id, role, kind, task_arn, image_digest) values (%s, %s, %s, %s, %s)",
            (config.platform_run_id, role, kind, task_arn(), image_digest()))


def runs(cursor, config):
    """All starts of the run until now, in their order, as evidence."""
    cursor.execute("select role, kind, task_arn, image_digest, started_at from task_run where platform_run_id = %s "
                   "order by seq", (config.platform_run_id,))
    for role, kind, arn, digest, started in cursor.fetchall():
        at = started.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield {"platform_run_id": config.platform_run_id, "scenario_run_id": config.scenario_run_id,
               "written_at_utc": now(), "role": role, "kind": kind, "task_arn": arn, "image_digest": digest,
               "started_at_utc": at}
