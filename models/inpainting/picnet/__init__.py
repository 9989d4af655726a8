"""PICNet: fills of a photo that are sampled, without a text (Zheng, Cham and Cai, CVPR 2019)."""

FILES = ("encoder", "generator")
LICENCE = "CC BY-NC 4.0 (PICNet): education and research only"
READS_TEXT = False
