"""CSA, Coherent Semantic Attention (Liu et al., ICCV 2019): a coarse fill, then a refined one."""

FILES = ("coarse", "refine")
LICENCE = "CC BY-NC 4.0 (CSA): education and research only"
READS_TEXT = False
