#!/usr/bin/env python3
"""Make .env from .env.example, with fresh secrets, or add what an older one lacks. Standard library only."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SECRETS = {
    "LABEL_STUDIO_PASSWORD": lambda: secrets.token_urlsafe(15),
    "LABEL_STUDIO_API_KEY": lambda: secrets.token_hex(20),
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(20),
    "ML_BACKEND_BASIC_USER": lambda: f"label-studio-{secrets.token_hex(4)}",
    "ML_BACKEND_BASIC_PASSWORD": lambda: secrets.token_urlsafe(24),
    "ML_BACKEND_TOKEN": lambda: secrets.token_urlsafe(32),
    "CONSENSUS_API_TOKEN": lambda: secrets.token_urlsafe(32),
    "CONSENSUS_WEBHOOK_TOKEN": lambda: secrets.token_urlsafe(32),
}
ADDABLE = (
    "ML_BACKEND_BASIC_USER", "ML_BACKEND_BASIC_PASSWORD", "ML_BACKEND_TOKEN", "CONSENSUS_API_TOKEN",
    "CONSENSUS_WEBHOOK_TOKEN",
)  # fmt: skip
"""What nothing that runs already depends on: the others are in the databases of a stack that was started."""
NETWORK, REACHABLE, REFUSED = "STACK_NETWORK", "LABEL_STUDIO_REACHABLE", "LABEL_STUDIO_REFUSED_NETWORKS"
OUR_NETWORK = "10.213.83"
OURS = ("10/32", "11/32")
"""The last numbers of the addresses of ml-backend-proxy and consensus-api in docker-compose.yml."""
# validate_ip of label_studio/core/utils/io.py, Label Studio 1.23.2.
# fmt: off
RESERVED = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "233.252.0.0/24", "240.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128",
    "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001:0000::/32",
    "2001:20::/28", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8",
]
# fmt: on


def refused_networks(network: str = OUR_NETWORK, reachable: str = "") -> str:
    """Return what Label Studio must not ask: its own list of reserved networks less the addresses it needs.

    Raises
    ------
    ValueError
        If an address or network is none, or the stack's would be one that Label Studio may ask all of.

    Examples
    --------
    >>> refused_networks("192.168.0").split(",")[9:12]
    ['192.168.0.0/29', '192.168.0.8/31', '192.168.0.12/30']
    """
    names = [f"{network}.{last}" for last in OURS] + [
        name.strip() for name in reachable.split(",") if name.strip()
    ]
    refused = [ipaddress.ip_network(name) for name in RESERVED]
    stack = ipaddress.ip_network(f"{network}.0/24")
    if not any(stack.version == whole.version and stack.subnet_of(whole) for whole in refused):  # type: ignore[arg-type]
        raise ValueError(f"{stack} is not private: Label Studio's members could reach the whole stack there")
    for allowed in map(ipaddress.ip_network, names):
        refused = [rest for whole in refused for rest in _without(whole, allowed)]
    return ",".join(map(str, refused))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _without(whole: Network, allowed: Network) -> Iterator[Network]:
    """Give what is left of a network."""
    if whole.version != allowed.version or not whole.overlaps(allowed):
        yield whole
    elif allowed != whole and allowed.subnet_of(whole):  # type: ignore[arg-type]  # the versions are equal
        rest: Iterator[Network] = whole.address_exclude(allowed)  # type: ignore[arg-type]
        yield from sorted(rest, key=lambda part: part.network_address.packed)


def values(text: str) -> dict[str, str]:
    r"""Read the variables of a file as docker compose does: quotes, comments and `export` are none of a value.

    Examples
    --------
    >>> values("export A='1'\nB=2 # two\nC=3#4")
    {'A': '1', 'B': '2', 'C': '3#4'}
    """
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("export ").strip(): _bare(value.strip()) for name, equals, value in lines if equals}


def _bare(value: str) -> str:
    quoted = re.match(r"""(["'])(.*?)\1""", value)
    return quoted[2] if quoted else re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()


def filled(example: str) -> str:
    """Return the example with a fresh value behind each empty secret."""
    lines = []
    for line in example.splitlines():
        name, equals, value = line.partition("=")
        make = SECRETS.get(name)
        lines.append(f"{name}={make()}" if equals and not value and make else line)
    return "\n".join(lines) + "\n"


def lacking(text: str) -> list[str]:
    """Name the credentials that an older file does not have, and without which a service asks for none."""
    given = values(text)
    return [name for name in ADDABLE if not given.get(name)]


def updated(text: str, example: str) -> str:
    """Return an older file with what it lacks and with the refused networks of its settings; no value is lost."""
    fresh, given = values(filled(example)), values(text)
    added = {name: fresh[name] for name in lacking(text) if name in fresh}
    network, reachable = given.get(NETWORK) or OUR_NETWORK, given.get(REACHABLE, "")
    refused = refused_networks(network, reachable)
    if given.get(REFUSED) or (network, reachable) != (OUR_NETWORK, ""):
        added[REFUSED] = refused
    for name, value in added.items():
        line = re.compile(rf"^{name}=.*$", re.MULTILINE)
        text = line.sub(f"{name}={value}", text) if line.search(text) else f"{text.rstrip()}\n{name}={value}\n"
    return text


def kept_volumes(folder: Path) -> list[str]:
    """Name the volumes of an earlier stack of this folder, where docker can be asked."""
    docker = shutil.which("docker")
    if docker is None:
        return []
    project = os.environ.get("COMPOSE_PROJECT_NAME") or re.sub(r"[^a-z0-9_-]", "", folder.resolve().name.lower())
    label = f"label=com.docker.compose.project={project.lstrip('_-')}"
    command = [docker, "volume", "ls", "--quiet", "--filter", label]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [name for name in done.stdout.split() if name.endswith(("postgres-data", "label-studio-data"))]


def make(folder: Path, *, new: bool) -> str:
    """Write a new .env, and return what to say of it."""
    volumes = [] if new else kept_volumes(folder)
    if volumes:
        raise SystemExit(
            f"the volumes {', '.join(volumes)} of an earlier .env are kept, and its passwords are in them: put "
            "that .env back, or run this with --new and then `docker compose up -d` and "
            "`docker compose exec postgres adopt-secrets`, which gives the databases the new ones"
        )
    content = filled((folder / ".env.example").read_text(encoding="utf-8"))
    descriptor = os.open(folder / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    return f"{folder / '.env'} made; Label Studio's first password and the access token are in it"


def update(folder: Path, *, write: bool) -> str:
    """Add to an .env what it lacks, and return what to say of it."""
    target = folder / ".env"
    text = target.read_text(encoding="utf-8")
    changed = updated(text, (folder / ".env.example").read_text(encoding="utf-8"))
    given = values(text)
    names = sorted(name for name, value in values(changed).items() if value != given.get(name))
    if not names:
        return f"{target} is there already and stays as it is"
    if not write:
        return (
            f"{target} is there already and stays as it is, but lacks {', '.join(names)}: python3 "
            "scripts/make_env.py --update adds that and changes no secret. Then `docker compose up -d`, and "
            "`ml-backend connect` for each project, so that Label Studio has the login"
        )
    replacement = folder / ".env.new"
    replacement.touch(mode=0o600)
    replacement.write_text(changed, encoding="utf-8")
    replacement.replace(target)
    return f"{target} has now {', '.join(names)}; nothing else was changed"


def main() -> int:
    """Write .env unless it is there; return the exit status."""
    parser = argparse.ArgumentParser(description="Make .env from .env.example, with fresh secrets.")
    parser.add_argument(
        "--folder", type=Path, default=ROOT, help="where .env.example is (default: the repository)"
    )
    parser.add_argument(
        "--update", action="store_true", help="add to an older .env what it lacks; no secret is changed"
    )
    parser.add_argument("--new", action="store_true", help="make a new one beside the volumes of an earlier one")
    options = parser.parse_args()
    folder = options.folder
    try:
        if (folder / ".env").exists():
            print(update(folder, write=options.update))
        else:
            print(make(folder, new=options.new))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"{NETWORK} or {REACHABLE} in {folder / '.env'}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
