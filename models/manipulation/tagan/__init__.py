"""TAGAN, the text-adaptive GAN (Nam et al., NeurIPS 2018): edits of photos by a caption."""

FILES = ("generator", "discriminator", "vectors", "captions")
LICENCE = "Apache-2.0 (TAGAN); word vectors by their own licence, fastText's CC BY-SA 3.0"
READS_TEXT = True
