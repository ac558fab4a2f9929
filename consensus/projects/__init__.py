"""What is done with a project of Label Studio: run, route, prompt, schedule."""
