"""The program `onion-config`, read in behind an entrance that may be interrupted."""

from __future__ import annotations

from keys.entrance import enter


def main() -> None:
    """Run the command, and exit with its code."""
    enter("onion_config.cli")


if __name__ == "__main__":
    main()
