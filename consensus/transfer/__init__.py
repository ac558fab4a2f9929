"""Labelled images into Label Studio, and the cleaned dataset out of it."""
