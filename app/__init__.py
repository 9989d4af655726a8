"""The torch-free side: gateway, steward, and the ``mmml`` command."""
