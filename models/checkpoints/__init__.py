"""Official checkpoints to bundles: read once, offline, with restricted loaders; the service itself
reads no pickle.
"""
