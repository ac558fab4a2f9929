"""Lets the tests of the core import the module that makes their votes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
