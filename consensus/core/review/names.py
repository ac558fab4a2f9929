"""The names of queues and rulings; apart, so that a command line can show them without what they are made of."""

from typing import Literal

Queue = Literal["misclassified", "controversial", "pending", "unvoted", "audit", "spot"]
"""In the order in which they are best worked off."""

RulingName = Literal["keep", "accept", "correct", "unusable", "reject", "ask"]
"""The given label is right; what the consensus proposes is; another one is; no label can be told; nobody works on
the task any more; one more annotator is asked."""
