"""Pixels and training: networks, pipelines, data. No HTTP, no queue, no jobs."""
