"""Which task needs one more vote."""
