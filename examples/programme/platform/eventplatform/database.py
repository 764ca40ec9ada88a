"""The tables of the platform in PostgreSQL. What is base truth can be appended to, never changed:
a trigger refuses UPDATE, DELETE and TRUNCATE, whoever asks."""

import uuid

import psycopg2

from eventplatform.config import canonical, now

APPEND_ONLY = [
    "receipt", "decision", "action", "audit", "case_record", "case_timeline", "label",
    "governance_event", "task_run",
]

TABLES = """
create table admission (
  platform_run_id text, event_class text, event_id text, state text not null
    check (state in ('PUBLISH_IN_FLIGHT', 'ADMITTED', 'PUBLISH_AMBIGUOUS')),
  payload_hash text not null, topic text, partition int, "offset" bigint, changed_at timestamptz not null default now(),
  primary key (platform_run_id, event_class, event_id));
create table receipt (
  seq bigserial primary key, receipt_id text unique not null, platform_run_id text not null,
  decision text not null check (decision in ('ADMIT', 'DUPLICATE', 'QUARANTINE')),
  event_class text not null, event_type text not null, event_id text not null,
  reason_codes text[] not null, body text not null);
create table scenario_lease (
  equivalence_key text primary key, holder text not null, platform_run_id text not null,
  generation bigint not null, expires_at timestamptz not null);
create table writer_lease (lock_key text primary key, generation bigint not null, holder text not null);
create table run_offset (
  platform_run_id text, topic text, partition int, start_offset bigint not null, primary key (platform_run_id, topic, partition));
create table service_status (
  platform_run_id text, service text, task_arn text not null, group_id text, ready_at timestamptz not null,
  primary key (platform_run_id, service));
create table service_count (
  platform_run_id text, service text, name text, n bigint not null, primary key (platform_run_id, service, name));
create table archive_progress (
  platform_run_id text, topic text, partition int, next_offset bigint not null, records bigint not null, objects bigint not null,
  primary key (platform_run_id, topic, partition));
create table entity_edge (platform_run_id text, flow_id text, kind text, entity_id text,
  primary key (platform_run_id, flow_id, kind, entity_id));
create table feature_row (platform_run_id text, event_id text, flow_id text, amount_minor bigint,
  primary key (platform_run_id, event_id));
create table flow_context (platform_run_id text, flow_id text, kind text, body text not null,
  primary key (platform_run_id, flow_id, kind));
create table degrade_posture (platform_run_id text primary key, mode text not null);
create table decision (
  platform_run_id text, event_id text, decision text not null, degraded boolean not null, body text not null,
  primary key (platform_run_id, event_id));
create table action (
  platform_run_id text, event_id text, action_type text, outcome text not null, primary key (platform_run_id, event_id, action_type));
create table audit (
  seq bigserial, platform_run_id text, kind text, event_id text, body text not null, primary key (platform_run_id, kind, event_id));
create table case_record (
  platform_run_id text, event_class text, event_id text, case_id text not null, opened_for text not null,
  primary key (platform_run_id, event_class, event_id));
create table case_timeline (
  seq bigserial primary key, platform_run_id text, case_id text, entry text not null, unique (platform_run_id, case_id, entry));
create table label (
  platform_run_id text, event_id text, label text not null, primary key (platform_run_id, event_id));
create table governance_event (
  seq bigserial primary key, platform_run_id text not null, family text not null, body text not null);
create table task_run (
  seq bigserial primary key, platform_run_id text not null, role text not null, kind text not null check (kind in ('service', 'job')),
  task_arn text not null, image_digest text not null, started_at timestamptz not null default clock_timestamp());
create table conformance (
  platform_run_id text, check_id text, status text not null, details text not null, checked_at timestamptz not null,
  primary key (platform_run_id, check_id));
"""


def connect(config):
    connection = psycopg2.connect(config.handle("DATABASE_URL"))
    with connection, connection.cursor() as cursor:
        cursor.execute('set search_path to "{}"'.format(config.handle("DATABASE_SCHEMA")))
    return connection


def create(url, schema):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(f'create schema "{schema}"')
        cursor.execute(f'set search_path to "{schema}"')
        cursor.execute(TABLES)
        cursor.execute(
            "create function refuse_change() returns trigger language plpgsql as "
            "$$ begin raise exception 'APPEND_ONLY: % may not change', tg_table_name; end $$")
        for table in APPEND_ONLY:
            cursor.execute(
                f"create trigger append_only before update or delete on {table} "
                f"for each row execute function refuse_change()")
            cursor.execute(
                f"create trigger append_only_all before truncate on {table} "
                f"for each statement execute function refuse_change()")
    connection.close()


def tables(url, schema):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = %s order by 1", (schema,))
        names = [name for (name,) in cursor.fetchall()]
    connection.close()
    return names


def drop(url, schema):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(f'drop schema if exists "{schema}" cascade')
    connection.close()


def one(cursor, query, values=()):
    cursor.execute(query, values)
    row = cursor.fetchone()
    return row[0] if row and len(row) == 1 else row


def counted(cursor, query, values=()):
    """The rows of a `select name, count(*) … group by 1` as a map."""
    cursor.execute(query, values)
    return {str(name): int(n) for name, n in cursor.fetchall()}


def govern(cursor, config, family, actor, **details):
    """A governance event; the reporter, the one writer of the file, exports them in this order."""
    event = {
        "event_id": uuid.uuid4().hex, "family": family, "ts_utc": now(), "actor": actor,
        "platform_run_id": config.platform_run_id, "scenario_run_id": config.scenario_run_id,
        "details": details}
    cursor.execute(
        "insert into governance_event (platform_run_id, family, body) values (%s, %s, %s)",
        (config.platform_run_id, family, canonical(event).decode()))


def try_lock(connection, key):
    """An advisory lock of this session: it is gone when the process is gone."""
    with connection.cursor() as cursor:
        return one(cursor, "select pg_try_advisory_lock(hashtextextended(current_schema() || %s, 0))", (key,))
