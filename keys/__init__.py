"""Everything that can be done with a key, and every format sealed with one. Bytes in, bytes out."""

__version__ = "0.1.0"
