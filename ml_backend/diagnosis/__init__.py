"""What goes wrong between Label Studio and the backend: facts are read, and each check is a function of them."""
