"""Tor: its configuration, its onion services, and a private network of it on loopback."""
