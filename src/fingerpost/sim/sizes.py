"""How much an engine remembers, counted without knowing its parts: the items of every container that it reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

_LEAVES = (str, bytes, bytearray, int, float, bool, type(None), type)
_CONTAINERS = (list, tuple, set, frozenset, deque)


def items_held(root: object) -> int:
    """Return how many items all containers hold that ``root`` reaches through attributes of the engine's own modules.

    Stores, templates and arrays are left out: they have bounds of their own.
    """
    seen: set[int] = set()
    items, due = 0, [root]
    while due:
        value = due.pop()
        if isinstance(value, _LEAVES) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            items += len(value)
            due += value.values()
        elif isinstance(value, _CONTAINERS):
            items += len(value)
            due += value
        elif callable(value) and hasattr(value, "__closure__"):
            due += [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        elif type(value).__module__.startswith("fingerpost.node") or value is root:
            due += _attributes(value)
    return items


def _attributes(value: object) -> list[object]:
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    found = [getattr(value, name) for name in names if hasattr(value, name)]
    return [*found, *getattr(value, "__dict__", {}).values()]


def _is_filled(cell: object) -> bool:
    try:
        cell.cell_contents  # type: ignore[attr-defined]  # noqa: B018
    except ValueError:
        return False
    return True
