"""What goes wrong between Label Studio and the backend: each check is a function of their state."""
