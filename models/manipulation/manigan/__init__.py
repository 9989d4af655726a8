"""ManiGAN (Li et al., CVPR 2020): edits of photos by a caption."""
