"""Reports about annotators, and their pay."""
