"""Label Studio through its SDK: what is read from it, written to it, and set right in it."""
