"""PICNet: fills of a photo that are sampled, without a text (CC BY-NC 4.0)."""
