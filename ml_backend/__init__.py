"""Pre-annotations for Label Studio from ResNet embeddings and k-means."""

__version__ = "0.1.0"
