"""ManiGAN (Li et al., CVPR 2020): edits of photos by a caption."""

LICENCE = "no licence stated upstream; research use"
