"""Takes an upload as a stream and seals it as it arrives: no plaintext ever waits on disk."""
