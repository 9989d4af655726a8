"""What else could serve the same pipelines, and the loop that nothing can beat: the plain ways and
LitServe, each as its own documentation has it.
"""
