"""Decisions: from posteriors and trust to confidence and the five reports."""
