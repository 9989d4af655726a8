"""All that depends on the device: where tensors live, what numbers networks compute with, how a
forward pass is run, and what is measured to decide it.
"""
