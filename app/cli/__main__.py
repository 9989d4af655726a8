"""``python -m app.cli``, the same as ``mmml``."""

from app.cli.root import main

main()
