"""The names of the policies; apart, so that a command line can show them without what they compute with."""

from typing import Literal

PolicyName = Literal["default", "majority", "wilson", "dawid-skene", "label-ai"]
