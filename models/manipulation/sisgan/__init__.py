"""SISGAN, semantic image synthesis (Dong et al., ICCV 2017): edits of photos by a sentence."""

FILES = ("generator", "embedding", "discriminator", "vectors", "captions")
LICENCE = "MIT (SISGAN's code); word vectors by their own licence, fastText's CC BY-SA 3.0"
READS_TEXT = True
