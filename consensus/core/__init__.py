"""The pure core: votes, trust, confidence and reports as functions of arrays."""
