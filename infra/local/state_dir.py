"""The folder in which a run keeps its data and logs: made where it is missing, and held by one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOTE = "run.json"
"""While a run is up: what other commands need to know of it."""


ROOM_AT_LEAST_BYTES = 50_000_000
"""Enough for the embedded AWS to save its state, and for what comes until it is noticed that there is no more."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class StateDirError(Exception):
    """The folder can't be used; says why and what to do."""


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Nothing is written before it is held. The lock goes with the process, however it ends.

    Raises StateDirError, also for a disk that fills up while it is held.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        check_room(directory)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateDirError(
            f"STATE_DIR: {directory} can't be used as a folder for the data: {error.strerror}.\n"
            "Choose another: STATE_DIR=<folder> make run"
        ) from error
    try:
        _take(lock, directory)
        (directory / NOTE).unlink(missing_ok=True)  # of a run that was killed
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                raise _full(directory) from error
            raise
        finally:
            (directory / NOTE).unlink(missing_ok=True)
    finally:
        os.close(lock)


def check_room(directory: Path) -> None:
    """Raises StateDirError where there is not enough left: what is paid for could not be written down."""
    if shutil.disk_usage(directory).free < ROOM_AT_LEAST_BYTES:
        raise _full(directory)


def _full(directory: Path) -> StateDirError:
    return StateDirError(
        f"STATE_DIR: the disk of {directory} has less than {ROOM_AT_LEAST_BYTES // 1_000_000} MB left, so what "
        "requests cost could go unrecorded.\nMake room, or choose another: STATE_DIR=<folder> make run"
    )


def _take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateDirError(
            f"Another make run is using {directory}. Stop it, or give this one a folder of its own: "
            "STATE_DIR=<folder> make run"
        ) from error
    except OSError as error:
        raise StateDirError(f"STATE_DIR: {directory} can't be locked: {error.strerror}.") from error
