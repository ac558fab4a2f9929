"""Votes: from annotations and files to who said what of which task, in columns."""
