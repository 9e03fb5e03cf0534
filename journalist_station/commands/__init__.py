"""The commands of `journalist-station`, one module for each part of a journalist's day."""
