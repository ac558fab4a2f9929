"""The dataset as it is now believed: which labels an item has, by what, and what is left out."""
