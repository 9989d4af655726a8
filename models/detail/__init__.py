"""The detail stage: pictures of a small network, enlarged by one that learned how edges and
surfaces of its domain look.
"""
