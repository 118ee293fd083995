"""The embedded emulator's memory: what it knows of the services that are kept, from a snapshot and to one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from infra.local.journal import OTHER_FOLDER, Journal, JournalError


class Memory:
    """Of DynamoDB and SSM. To be made once the environment of ministack is set: its modules read it at import."""

    def __init__(self) -> None:
        from ministack.core import persistence  # noqa: PLC0415  # reads its environment when it is imported
        from ministack.services import dynamodb, ssm  # noqa: PLC0415  # the same

        persistence.PERSIST_STATE = True
        self._persistence: Any = persistence
        self._services: dict[str, Any] = {"dynamodb": dynamodb, "ssm": ssm}

    def load(self, journal: Journal) -> None:
        """Raises JournalError where the snapshot can't be read as a whole."""
        if journal.snapshot is None:
            return
        self._persistence.STATE_DIR = str(journal.snapshot)
        for name, service in self._services.items():
            file = journal.snapshot / f"{name}.json"
            try:
                state = self._persistence.load_state(name)  # logs what is wrong, and answers None as for no file
                if state is None:
                    raise JournalError(_unreadable(file, journal))
                service.load_persisted_state(state)
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                raise JournalError(_unreadable(file, journal)) from error

    def save(self, directory: Path) -> None:
        """Raises OSError. Nothing may change meanwhile.

        ministack's own way copies every item first and encodes in Python: 20 s for 100,000 requests instead of 2 s.
        """
        for name, service in self._services.items():
            with _uncopied(service):
                wrapped = {
                    "__ministack_format__": self._persistence._state_format_version(name),  # noqa: SLF001  # as there
                    "payload": service.get_state(),
                }
                text = json.dumps(wrapped, default=self._persistence._json_default)  # noqa: SLF001  # its own encoding
            (directory / f"{name}.json").write_text(text)


class _Uncopied(ModuleType):
    """Stands in for the module `copy` in a service while its state is encoded at once."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        return value


@contextmanager
def _uncopied(service: Any) -> Iterator[None]:
    copying = service.copy
    service.copy = _Uncopied("copy")
    try:
        yield
    finally:
        service.copy = copying


def _unreadable(file: Path, journal: Journal) -> str:
    current = file.parent.parent / "CURRENT"
    older = journal.older_generation
    way_back = (
        f"The state before it is there, with all requests since. Use it: echo {older} > '{current}'"
        if older is not None
        else "A copy of it, or of its folder, would help"
    )
    why = "is missing" if not file.exists() else "can't be read: it is damaged, or of a newer version"
    return f"{file} {why}. Nothing was changed.\n{way_back}\n{OTHER_FOLDER}"
