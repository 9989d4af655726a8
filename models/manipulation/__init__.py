"""ManiGAN, text-guided image manipulation (Li et al., CVPR 2020)."""
