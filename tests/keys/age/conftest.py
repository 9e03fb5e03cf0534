"""No deadline for a single example: on a busy machine any of them may take its time. All else stays as it is set."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
