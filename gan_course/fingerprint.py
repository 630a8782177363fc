"""Names for values and functions that mean the same in another session.

A result kept on disk is found again by the name of its setting, and may be used again only if
the function that made it is still the same. Python's own names do not serve: ``hash`` of a string
and ``repr`` of a function differ from session to session.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

__all__ = ["digest", "function_name", "function_version", "key", "label"]


def key(value: Any) -> str:
    """Text that tells a value apart from others, the same in every session.

    A value may give its own by a method ``key``.

    Raises
    ------
    ValueError
        For a value without such a text, such as a lambda.
    """
    if hasattr(value, "key") and not isinstance(value, type | ModuleType):
        return str(value.key())
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(key, value)))}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(key, value))})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{key(k)}: {key(v)}' for k, v in value.items()))}}}"
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass_key(value)
    if hasattr(value, "__array__") and not isinstance(value, type):
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        return f"array{array.shape}-{digest(str(array.dtype), array.tobytes())}"
    return _global_name(value) or _stable_repr(value)


def label(value: Any) -> str:
    """The key as people write it: strings without quotes."""
    return value if isinstance(value, str) else key(value)


def digest(*parts: str | bytes) -> str:
    """Twelve hexadecimal digits that change with any of the parts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
        whole.update(b"\0")
    return whole.hexdigest()[:12]


def function_name(function: Callable[..., Any]) -> str:
    """Qualified name of a function, also of a partial one."""
    inner = function.func if isinstance(function, functools.partial) else function
    return getattr(inner, "__qualname__", type(inner).__qualname__)


def function_version(function: Callable[..., Any]) -> str:
    """Digest of a function's source and of the values that it takes from its surroundings.

    Functions and classes of the same module that it uses count with their source, what other
    modules hold with its name alone. Comments and layout do not count.

    Raises
    ------
    ValueError
        Where the source cannot be read.
    """
    if isinstance(function, functools.partial):
        bound = [key(value) for value in (*function.args, *sorted(function.keywords.items()))]
        return digest(function_version(function.func), *bound)
    inner = inspect.unwrap(function)
    parts = list(_parts(inner, set())) if isinstance(inner, FunctionType) else []
    if not parts:
        raise ValueError(f"the source of {function!r} cannot be read")
    return digest(*parts)


def _dataclass_key(value: Any) -> str:
    try:
        parts = [f"{f.name}={key(getattr(value, f.name))}" for f in fields(value)]
    except ValueError:  # a constant of a module still has a name
        if name := _global_name(value):
            return name
        raise
    return f"{type(value).__qualname__}({', '.join(parts)})"


def _global_name(value: Any) -> str | None:
    """``module.name`` of a function, a class, or a constant that stands beside its class."""
    module = getattr(value, "__module__", None)
    space = vars(sys.modules[module]) if module in sys.modules else {}
    name = next((name for name, other in space.items() if other is value), None)
    if name is None:
        return None
    if module != "__main__":
        return f"{module}.{name}"
    source = _source(value)  # a notebook's function changes under its name
    return f"{name}-{digest(source)}" if source else None


def _stable_repr(value: Any) -> str:
    text = repr(value)
    if isinstance(value, FunctionType) or re.search(r" at 0x[0-9a-fA-F]+", text):
        raise ValueError(
            f"{text} has no name that lasts; allowed are numbers, strings, sequences and "
            "dataclasses of them, functions and constants of a module "
            "(pass a string instead, and build the object where it is used)"
        )
    return text


def _parts(function: FunctionType, seen: set[FunctionType]) -> Iterator[str]:
    """All that a function's version depends on."""
    seen.add(function)
    source = _source(function)
    if not source:
        return
    yield from (function.__qualname__, source)
    for name, value in _surroundings(function).items():
        beside = getattr(value, "__module__", None) == function.__module__
        if beside and isinstance(value, FunctionType):
            yield from () if value in seen else _parts(value, seen)
        elif beside and isinstance(value, type):
            yield _source(value)
        elif not isinstance(value, ModuleType):
            yield f"{name}={_key_or_type(value)}"


def _surroundings(function: FunctionType) -> dict[str, Any]:
    """Closure, globals and default values of a function, by name."""
    closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    names = _global_names(function.__code__) & set(function.__globals__)
    return {
        **{name: cell.cell_contents for name, cell in closure},
        **{name: function.__globals__[name] for name in sorted(names)},
        **{f"default {i}": value for i, value in enumerate(function.__defaults__ or ())},
        **(function.__kwdefaults__ or {}),
    }


def _global_names(code: CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = (_global_names(c) for c in code.co_consts if isinstance(c, CodeType))
    return names.union(*inner)


def _key_or_type(value: Any) -> str:
    try:
        return key(value)
    except ValueError:
        return type(value).__qualname__


def _source(value: Any) -> str:
    """Source without comments and layout, empty where there is none."""
    try:
        text = textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        return ""
    try:
        return ast.unparse(ast.parse(text))
    except SyntaxError:  # a lambda in the middle of an expression
        return text
