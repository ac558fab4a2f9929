"""Runs the command: ``python -m ml_backend``."""

from ml_backend.cli import main

main()
