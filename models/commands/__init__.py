"""The commands of ``python -m models``: one file each, with ``add`` (its arguments) and ``run``.

Only a command that runs imports what it needs: ``--help`` starts without torch.
"""
