"""What stands in the place of a fact that cannot be had: why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cifar.record.text import plain


@dataclass(frozen=True)
class Unmeasurable:
    """Why something cannot be had, and what to do about it; as text it is one sentence that says both.

    A fact is a value or an `Unmeasurable`, never None, 0 or an empty text in its place.
    """

    reason: str
    remedy: str = ""
    """Empty where nothing can be done."""

    def __str__(self) -> str:
        """The sentence."""
        parts = (self.reason.removesuffix("."), self.remedy.removesuffix("."))
        return ": ".join(part for part in parts if part) + "."

    @classmethod
    def read(cls, value: object) -> Unmeasurable:
        """Return what stands in a plan: an object of reason and remedy, or one text, as older plans have it.

        A list of the two is taken as well. ValueError for anything else.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, dict) and value.keys() == {"reason", "remedy"}:
            value = value["reason"], value["remedy"]
        match value:
            case str(reason), str(remedy):
                return cls(reason, remedy)
        message = f"{str(value)[:100]} is no reason and remedy"
        raise ValueError(message)


def as_json(fact: Any) -> Any:
    """Return `fact`, which may be nested, as it stands in a record.

    An `Unmeasurable` becomes {"unmeasurable": reason}, with its "remedy" where there is one. Text that cannot be
    shown and stored, such as a folder's name in Latin-1, is written out.
    """
    if isinstance(fact, Unmeasurable):
        content = {"unmeasurable": plain(fact.reason)}
        if fact.remedy:
            content["remedy"] = plain(fact.remedy)
        return content
    if isinstance(fact, dict):
        return {as_json(name): as_json(value) for name, value in fact.items()}
    if isinstance(fact, list):
        return [as_json(value) for value in fact]
    if isinstance(fact, str):
        return plain(fact)
    return fact
