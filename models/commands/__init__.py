"""The commands of ``python -m models``: ``add_COMMAND`` (its arguments) and ``run_COMMAND`` of each.

Only a command that runs imports what it needs: ``--help`` starts without torch.
"""
