"""The demo: a real project on a real Label Studio, from images to the five reports."""
