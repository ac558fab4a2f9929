"""What can be wrong between Label Studio, the settings and the store."""
