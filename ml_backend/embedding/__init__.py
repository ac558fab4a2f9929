"""From images to embeddings: the engines, their weights, full batches, and the cache."""
