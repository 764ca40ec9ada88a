"""What the tests of the platform share: where its code is, real servers, and a lab on them."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("AWS_ACCESS_KEY_ID", os.environ.get("CARNET_TEST_S3_KEY", ""))
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", os.environ.get("CARNET_TEST_S3_SECRET", ""))

from supervisor import resources  # noqa: E402

SERVERS = unittest.skipUnless(os.environ.get("CARNET_TEST_S3") and os.environ.get("CARNET_TEST_PG16"), "no servers")
NOTHING = {"processes": {}, "containers": {}, "topics": [], "buckets": {}, "tables": [], "secrets": []}


def make_lab(folder, compute="process", evidence=None):
    lab = resources.Lab(folder)
    resources.choose(lab, os.environ["CARNET_TEST_S3"], os.environ["CARNET_TEST_PG16"], evidence, "0" * 40, compute)
    resources.up(lab)
    return lab
