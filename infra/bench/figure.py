"""One measured number, its limit, and the line of the table in which both stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`at_most` may be reached, `below` may not."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    below: float | None = None
    note: str = ""

    @property
    def is_broken(self) -> bool:
        past_most = self.at_most is not None and self.value > self.at_most
        not_below = self.below is not None and self.value >= self.below
        return past_most or not_below

    @property
    def line(self) -> str:
        limit = ""
        if self.at_most is not None:
            limit = f"at most {self.at_most:g}"
        if self.below is not None:
            limit = f"below {self.below:g} {self.unit}"
        if limit:
            limit += ", BROKEN" if self.is_broken else ", kept"
        return f"  {self.name:<50} {self.value:8.2f} {self.unit:<3} {limit:<22} {self.note}".rstrip()
