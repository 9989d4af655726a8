"""The DAMSM (AttnGAN, CVPR 2018): text and image encoders in one space."""

LICENCE = "MIT (AttnGAN)"
