"""What gold proves of a report."""
