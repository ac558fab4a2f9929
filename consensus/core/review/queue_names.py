"""The names of the queues; apart, so that a command line can show them without what fills them."""

from typing import Literal

Queue = Literal["misclassified", "controversial", "pending", "unvoted", "audit", "spot"]
"""In the order in which they are best worked off."""
