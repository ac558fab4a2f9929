"""What consensus and the ML backend know of the world: Label Studio, files, logs, settings, the console."""
