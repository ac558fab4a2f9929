"""What can go wrong in the demo."""


class DemoError(Exception):
    """A step did not do what it is there for; the message says which and what to look at."""
