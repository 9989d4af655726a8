"""AttnGAN (Xu et al., CVPR 2018): pictures of a caption, drawn in stages that attend to words."""

FILES = ("generator", "text-encoder", "captions")
LICENCE = "MIT (AttnGAN)"
READS_TEXT = True
