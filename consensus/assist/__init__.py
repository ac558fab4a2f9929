"""What machines suggest, and what becomes of it: accepted above a confidence, reviewed, undone."""
