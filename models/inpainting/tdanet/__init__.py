"""TDANet (Zhang et al., ACM MM 2020): holes filled by a caption."""
