"""The front door for users of the service: ``from mmml import __version__``."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("mmml")
