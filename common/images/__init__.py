"""From the address in a task to the bytes of an image, without reaching where a task must not."""
