"""The service: the REST API."""
