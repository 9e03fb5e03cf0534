"""The drop box server: takes tips over Tor, seals them as they stream in, and keeps only ciphertext."""
