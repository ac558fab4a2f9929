"""Label Studio, as both programs see it."""
