#!/usr/bin/env python3
"""Make .env from .env.example, with fresh secrets. Standard library only."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECRETS = {
    "LABEL_STUDIO_PASSWORD": lambda: secrets.token_urlsafe(15),
    "LABEL_STUDIO_API_KEY": lambda: secrets.token_hex(20),
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(20),
    "CONSENSUS_API_TOKEN": lambda: secrets.token_urlsafe(32),
}


def filled(example: str) -> str:
    """Return the example with a fresh value behind each empty secret."""
    lines = []
    for line in example.splitlines():
        name, equals, value = line.partition("=")
        make = SECRETS.get(name)
        lines.append(f"{name}={make()}" if equals and not value and make else line)
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write .env unless it is there; return the exit status."""
    parser = argparse.ArgumentParser(description="Make .env from .env.example, with fresh secrets.")
    parser.add_argument(
        "--folder", type=Path, default=ROOT, help="where .env.example is (default: the repository)"
    )
    folder = parser.parse_args().folder
    target = folder / ".env"
    try:
        content = filled((folder / ".env.example").read_text(encoding="utf-8"))
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} is there already and stays as it is; remove it to have a new one made")
        return 0
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    print(f"{target} made; Label Studio's first password and the access token are in it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
