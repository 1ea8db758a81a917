"""Objects of the domain ↔ plain values that JSON can hold, for the records of a compiled catalog.

The rule kept here: fields and their types are read from the classes themselves, so that a new field needs no line here.
What has its default is left out. A class whose objects are few and shared is written once, and named by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_Step = Callable[[Any], Any]
_SCALARS = (str, int, float, bool)


class Shared(Generic[T]):
    """The distinct objects of a class, by number. They are compared by value, and are hashable."""

    __slots__ = ("all", "number_of")

    def __init__(self, objects: Iterable[T] = ()) -> None:
        self.all = list(objects)
        self.number_of = {each: number for number, each in enumerate(self.all)}

    def number(self, each: T) -> int:
        """Its number; the next one, if it is new."""
        found = self.number_of.setdefault(each, len(self.all))
        if found == len(self.all):
            self.all.append(each)
        return found


class Codec(Generic[T]):
    """Writes and reads the objects of one class. TypeError: a field has a type that no record can hold."""

    __slots__ = ("read", "write")

    def __init__(self, kind: type[T], shared: Mapping[type, Shared[Any]] | None = None) -> None:
        write, read = _object(kind, shared or {})
        self.write: Callable[[T], dict[str, Any]] = write
        self.read: Callable[[Mapping[str, Any]], T] = read


def _steps(kind: Any, shared: Mapping[type, Shared[Any]]) -> tuple[_Step | None, _Step | None]:
    """How a value of this type is written and read; None: as it is."""
    if kind in _SCALARS:
        return None, None
    if kind in shared:
        return shared[kind].number, shared[kind].all.__getitem__
    if is_dataclass(kind) and isinstance(kind, type):
        return _object(kind, shared)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return (lambda member: member.value), {member.value: member for member in kind}.__getitem__
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal and all(isinstance(each, _SCALARS) for each in inner):
        return None, None
    if origin in (Union, UnionType) and len(inner) == 2 and NoneType in inner:
        [one] = [each for each in inner if each is not NoneType]
        return _optional(*_steps(one, shared))
    if origin is frozenset and inner[0] in _SCALARS:
        return sorted, frozenset
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return _repeated(*_steps(inner[0], shared))
    if origin is tuple:
        return _fixed([_steps(each, shared) for each in inner])
    raise TypeError(f"no record can hold a {kind}")


def _object(kind: type[Any], shared: Mapping[type, Shared[Any]]) -> tuple[_Step, _Step]:
    hints = get_type_hints(kind)
    named = [(field.name, field.default, _steps(hints[field.name], shared)) for field in fields(kind) if field.init]
    readers = {name: step for name, _, (_, step) in named if step is not None}
    writers = {name: step for name, _, (step, _) in named if step is not None}
    names, defaults = [name for name, _, _ in named], [default for _, default, _ in named]
    held_by = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def write(value: Any) -> dict[str, Any]:
        return {
            name: writers[name](held) if name in writers else held
            for name, held, default in zip(names, held_by(value), defaults, strict=True)
            if held is not default and (default is MISSING or held != default)
        }

    def read(written: Mapping[str, Any]) -> Any:
        return kind(**{name: readers[name](held) if name in readers else held for name, held in written.items()})

    return write, read


def _optional(write: _Step | None, read: _Step | None) -> tuple[_Step | None, _Step | None]:
    if write is None or read is None:
        return None, None
    return (lambda held: None if held is None else write(held)), (lambda held: None if held is None else read(held))


def _repeated(write: _Step | None, read: _Step | None) -> tuple[_Step | None, _Step]:
    if write is None or read is None:
        return None, tuple
    return (lambda held: [write(each) for each in held]), (lambda held: tuple([read(each) for each in held]))


def _fixed(steps: list[tuple[_Step | None, _Step | None]]) -> tuple[_Step, _Step]:
    def each(which: int) -> _Step:
        functions = [step[which] for step in steps]
        return lambda held: tuple([one if f is None else f(one) for f, one in zip(functions, held, strict=True)])

    return each(0), each(1)
