"""What can be asked of the demo. Standard library only: the bare Python of a fresh machine reads it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ABOUT = """\
The whole suite on real images: Label Studio starts, gets a project of handwritten digits (some with a wrong
label), simulated annotators annotate them, the ML backend suggests labels, consensus writes five reports back,
and the result is read back and shown. Everything then goes on running until Ctrl-C.
"""
PACKAGED = "efficientnet-lite0"
AFTERWARDS = """\
The first run installs two environments (.venv and .venv-label-studio) and takes some minutes. What a run makes
lies in a new folder under .demo/, which is removed when it ends: nothing is kept from one run to the next.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; ends the program with a usage line where they cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="demo.py",
        description=ABOUT,
        epilog=AFTERWARDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="show the result, stop everything and exit")
    parser.add_argument("--port", type=port, help="Label Studio's port (8080, or a free one)")
    parser.add_argument("--backend-port", type=port, help="the ML backend's port (9090, or a free one)")
    parser.add_argument("--console-port", type=port, help="the console's port (9091, or a free one)")
    parser.add_argument(
        "--weights",
        default=PACKAGED,
        help=f"what sees: {PACKAGED} (weights of ImageNet, installed with the backend), imagenet (those of a "
        "ResNet-18, downloaded), random, or a path to a state dict of a ResNet-18",
    )
    return parser.parse_args(arguments)


def port(text: str) -> int:
    """Read a port number.

    >>> port("8080")
    8080
    """
    number = int(text)
    if not 0 < number < 2**16:
        raise argparse.ArgumentTypeError(f"{number} is no port: take one from 1 to 65535")
    return number
