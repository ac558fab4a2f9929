"""Lets the tests of the benchmarks import the module that makes their sets."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
