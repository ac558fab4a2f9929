"""The store: the database with votes, runs, trust and reports."""
