"""A role as it is started, whatever starts it: its words, its files, and what its environment says."""

import os
import sys
from dataclasses import dataclass

from eventplatform.config import DAEMONS
from supervisor import image

# Who shows the token, or looks at it. Nobody else is given it.
WITH_TOKEN = {"ig", "env-conformance", "gate-ready", "stream"}


@dataclass(frozen=True)
class Role:
    name: str
    config: str
    run_id: str
    more: tuple = ()
    # Files that `more` names.
    files: tuple = ()

    @property
    def kind(self):
        return "service" if self.name in DAEMONS else "job"

    def argv(self):
        return [sys.executable, "-m", "eventplatform", self.name, "--config", self.config, *self.more]

    def reads(self, lab):
        """The files and folders of the lab that it must see."""
        token = [os.path.dirname(lab.handles["IG_TOKEN_FILE"])] if self.name in WITH_TOKEN else []
        return [self.config, *self.files, *token]

    def said(self, lab, code):
        """What it is told of itself; `code` is where it finds the unpacked layer."""
        return {
            "PYTHONPATH": os.path.join(code, image.ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "REQUIRED_PLATFORM_RUN_ID": self.run_id, "IMAGE_DIGEST": image.unpacked(lab.folder)}
