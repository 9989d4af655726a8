"""Data sets of photos in the layouts that their owners publish."""
