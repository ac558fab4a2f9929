"""From tasks to suggestions: for a request, in bulk, on a cluster."""
