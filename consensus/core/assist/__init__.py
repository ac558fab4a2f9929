"""What is to be expected of suggestions before they are accepted."""
