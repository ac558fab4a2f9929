"""Tuning a backbone on one project: planned, learned with checkpoints, judged, put to use."""
