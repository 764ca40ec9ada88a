"""Objects in S3, and evidence: JSON that is written once and never again, in S3 or in a folder."""

import hashlib
import json
import os
import shutil
import tempfile
import uuid

from eventplatform.config import canonical, now, sha256


class WrittenAlready(Exception):
    pass


def client(endpoint):
    import boto3  # slow to import: only the roles that use it pay
    from botocore.config import Config as BotoConfig

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        config=BotoConfig(retries={"max_attempts": 3}, s3={"addressing_style": "path"}))


class Bucket:
    def __init__(self, endpoint, name, connection=None):
        self.name = name
        self.s3 = connection or client(endpoint)

    def put(self, key, data, once=False):
        condition = {"IfNoneMatch": "*"} if once else {}
        try:
            return self.s3.put_object(Bucket=self.name, Key=key, Body=data, **condition)["ETag"]
        except self.s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                raise WrittenAlready(f"s3://{self.name}/{key}") from error
            raise

    def get(self, key):
        try:
            return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def lines(self, key):
        """The lines of an object, streamed."""
        yield from self.s3.get_object(Bucket=self.name, Key=key)["Body"].iter_lines(65536)

    def keys(self, prefix=""):
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for item in page.get("Contents", []):
                yield item["Key"]

    def copy_from(self, source, key, target):
        """A copy that the server makes: the bytes do not pass through this machine's processes."""
        answer = self.s3.copy_object(
            Bucket=self.name, Key=target, CopySource={"Bucket": source, "Key": key})
        return answer["CopyObjectResult"]["ETag"].strip('"')


class Folder:
    """A folder with the same operations as a bucket, as far as evidence needs them."""

    def __init__(self, path):
        self.path = path

    def put(self, key, data, once=False):
        path = os.path.join(self.path, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = f"{path}.{uuid.uuid4().hex}.part"  # in a container each process has number 1
        with open(part, "wb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                shutil.copyfileobj(data, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            if once:
                os.link(part, path)  # fails where the name exists, unlike a rename
            else:
                os.replace(part, path)
        except FileExistsError as error:
            raise WrittenAlready(path) from error
        finally:
            if os.path.exists(part):
                os.unlink(part)

    def get(self, key):
        try:
            with open(os.path.join(self.path, key), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def keys(self, prefix=""):
        for folder, _, names in os.walk(self.path):
            for name in names:
                key = os.path.relpath(os.path.join(folder, name), self.path)
                if key.startswith(prefix) and not key.endswith(".part"):
                    yield key


def open_root(config):
    root = config.handle("EVIDENCE_ROOT")
    if root.startswith("s3://"):
        return Bucket(config.handle("S3_ENDPOINT"), root[len("s3://"):].strip("/"))
    return Folder(root)


class Evidence:
    """The evidence of one run, under evidence/runs/{platform_run_id}/."""

    def __init__(self, config, root=None):
        self.config = config
        self.root = root or open_root(config)
        self.prefix = f"evidence/runs/{config.platform_run_id}/"

    def ref(self, path):
        return self.prefix + path

    def write(self, path, body):
        """Writes once. Who comes second is told so and changes nothing."""
        whole = {"platform_run_id": self.config.platform_run_id, "written_at_utc": now(), **body}
        data = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        self.root.put(self.ref(path), data, once=True)
        return self.ref(path)

    def copy(self, path, data):
        """A file of others as it is, once."""
        self.root.put(self.ref(path), data, once=True)
        return self.ref(path)

    def write_lines(self, path, rows):
        """One object of many lines, written once. It passes through a file, not through memory."""
        digest, count = hashlib.sha256(), 0
        with tempfile.TemporaryFile() as file:
            for row in rows:
                line = canonical(row) + b"\n"
                digest.update(line)
                file.write(line)
                count += 1
            file.seek(0)
            self.root.put(self.ref(path), file, once=True)
        return {"ref": self.ref(path), "sha256": digest.hexdigest()}, count

    def read(self, path):
        data = self.root.get(self.ref(path))
        return None if data is None else json.loads(data)

    def pinned(self, path):
        """A reference with the digest that the file has now."""
        return {"ref": self.ref(path), "sha256": self.digest(path)}

    def digest(self, path):
        data = self.root.get(self.ref(path))
        return None if data is None else sha256(data)
