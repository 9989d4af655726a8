"""CSA, Coherent Semantic Attention: a coarse fill, then a refined one, without a text (Liu, Jiang,
Xiao and Yang, ICCV 2019).
"""

FILES = ("coarse", "refine")
LICENCE = "CC BY-NC 4.0 (CSA): education and research only"
READS_TEXT = False
