"""The deep attentional multimodal similarity model (AttnGAN, CVPR 2018): text and image encoders
in one space.
"""
