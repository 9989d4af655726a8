"""The GPU process: job in, stored images out."""
