"""See all of it happen on real images in a real Label Studio: the one command for a newcomer.

Makes the environments where they are missing, then becomes the demo in ours.
"""

from __future__ import annotations

import os
import sys
import time

from demonstration.options import parse
from environments import ROOT, label_studio, ours
from installing import ensure
from label_studio_server import prepare_template


def main(arguments: list[str]) -> None:
    """Make the environments, and Label Studio's first database beside them; then tell the story."""
    parse(arguments)
    began = time.monotonic()
    environment, studio = ours("ml"), label_studio()
    ensure([environment, studio], then={studio.folder.name: prepare_template})
    os.environ["PYTHONPATH"] = str(ROOT / "scripts")
    seconds = f"{time.monotonic() - began:.1f}"
    command = [str(environment.python), "-m", "demonstration", seconds, *arguments]
    sys.stdout.flush()
    os.execv(environment.python, command)  # noqa: S606 - our own interpreter


if __name__ == "__main__":
    main(sys.argv[1:])
