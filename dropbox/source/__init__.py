"""The pages that a source sees."""
