"""Trust-weighted consensus over the annotations of a Label Studio project."""

__version__ = "0.1.0"
