"""What the service itself costs, around a model that only sleeps."""
