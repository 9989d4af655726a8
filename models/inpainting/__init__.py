"""TDANet, text-guided inpainting (Zhang et al., ACM MM 2020), and classical methods beside it."""
