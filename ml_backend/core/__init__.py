"""The pure core: images, clusters, suggestions as functions of arrays."""
