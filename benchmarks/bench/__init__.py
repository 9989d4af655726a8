"""How fast the service is: against what else would serve the same pipelines, side by side."""
