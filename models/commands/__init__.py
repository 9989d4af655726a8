"""Commands of ``python -m models``, each as ``add_COMMAND`` (its arguments) and ``run_COMMAND``.

Only a command that runs imports what it needs: ``--help`` starts without torch.
"""
