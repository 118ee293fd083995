"""What keeps a command of `sam local` from going on."""

from __future__ import annotations


class ObstacleError(Exception):
    """Its words say what is missing and what to do about it."""
