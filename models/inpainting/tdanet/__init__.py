"""TDANet (Zhang et al., ACM MM 2020): holes filled by a caption."""

LICENCE = "academic research only (TDANet README)"
