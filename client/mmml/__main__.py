"""``python -m mmml``, the same as the command ``mmml``."""

from mmml.cli import main

main()
