"""What an import reads: images with their labels, in the layouts in which people keep them."""
