"""A further method of inpainting: everything that it costs beside one line of the registry."""

FILES = ("network",)
LICENCE = "CC0-1.0"
READS_TEXT = False
