"""From annotations to a version that answers: what is learned from, when, and how the result is published."""
