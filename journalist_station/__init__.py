"""The review station: opens, keeps and answers tips on a machine without a network."""
