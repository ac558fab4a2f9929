"""What people are to look at, and what they decide."""
