"""Restore noisy, small or JPEG-damaged pictures."""
__version__ = "0.1.0"
