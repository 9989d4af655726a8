"""TAGAN, the text-adaptive GAN (Nam et al., NeurIPS 2018): edits of photos by a caption."""
