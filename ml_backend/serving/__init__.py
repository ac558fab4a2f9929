"""The routes that Label Studio calls, who may call them, and the workers that answer."""
