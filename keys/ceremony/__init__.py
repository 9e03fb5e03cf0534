"""`newsroom-keys`: the command with which a network is founded, signed and kept. The formats are those of `keys`."""
