"""The torch-free side: gateway, reconciler, and the ``mmml`` command."""
