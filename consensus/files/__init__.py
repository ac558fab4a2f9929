"""Votes files in, result files out, partitions on disk or on a cluster."""
