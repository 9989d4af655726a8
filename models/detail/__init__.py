"""The detail stage: pictures enlarged by a network that learned the edges of its domain."""
