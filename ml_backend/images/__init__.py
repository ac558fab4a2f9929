"""From the address in a task to a decoded image, without reaching where a task must not."""
