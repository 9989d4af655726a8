"""Efficient-T2I (Souza et al. 2020): images from noise and a sentence."""

LICENCE = "no licence stated upstream; research use"
