"""How both programs serve: the application, who may call, JSON in and out, and the server around it."""
