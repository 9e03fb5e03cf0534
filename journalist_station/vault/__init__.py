"""The encrypted vault of one desk: threads, items, keys and the outbox."""
