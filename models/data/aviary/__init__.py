"""Aviary: drawn birds with captions whose truth is known."""
