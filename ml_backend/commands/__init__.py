"""The commands of ``ml-backend``, a file each."""
