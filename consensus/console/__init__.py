"""The console: pages on what consensus has found, and what people do about it."""
