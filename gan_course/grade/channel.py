"""How a check in one process asks an answer that lives in another one.

The grader judges in its own process, where no student's code ever runs. What a check is given
there is a :class:`RemoteFunction`: each call sends its arguments to the student's kernel as data,
and the result comes back as data. Nothing is unpickled on the grader's side, so all that a
notebook can do to its verdict is to return the right values.
"""

from __future__ import annotations

import base64
import builtins
import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["NotData", "Opaque", "RemoteFunction", "decode", "encode", "receive", "respond"]

MARKS = ("system", "loss", "regularizer", "strength", "mode", "step", "value", "touched")
"""What a check may read of a widget."""

KINDS: tuple[type, ...] = (bytes, list, tuple, set, frozenset)

_held: dict[str, Any] = {}


class NotData(BaseException):
    """A value that cannot be sent as data; no check's own ``except`` may stop it."""


class Opaque:
    """Stands for a student's value that is not data: nothing but the name of its type is known."""


def encode(value: Any) -> Any:
    """Turn data into what JSON can hold.

    Data are numbers, texts, None, the ellipsis, arrays without objects, tensors that carry no
    gradient, NumPy's random generators, and containers of these.

    Raises
    ------
    NotData
        For anything else.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float | complex) and not isinstance(value, np.generic):
        kind: Any = next(kind for kind in (int, float, complex) if isinstance(value, kind))
        return {"number": kind.__name__, "repr": repr(kind(value))}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, np.random.Generator):
        state = value.bit_generator.state
        return {"generator": json.dumps(state, default=lambda array: array.tolist())}
    if isinstance(value, np.ndarray | np.generic):
        return {"array" if isinstance(value, np.ndarray) else "scalar": _npy(value)}
    if _is_tensor(value):
        return _encode_tensor(value)
    if isinstance(value, dict):
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, (*KINDS, range)):
        items: Any = value
        held = next((kind for kind in KINDS if isinstance(value, kind)), list)
        return {"items": held.__name__, "of": [encode(item) for item in items]}
    raise NotData(f"a {type(value).__name__} is not data")


def decode(coded: Any) -> Any:
    """The inverse of :func:`encode`, safe on any input.

    Raises
    ------
    ValueError
        For what :func:`encode` never writes.
    """
    if coded is None or isinstance(coded, bool | str):
        return coded
    if not isinstance(coded, dict):
        raise ValueError(f"coded is {coded!r}; allowed is what `encode` writes")
    if "number" in coded:
        kinds: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "complex": complex}
        return kinds.get(str(coded["number"]), float)(str(coded["repr"]))
    if "ellipsis" in coded:
        return ...
    if "generator" in coded:
        return _generator(json.loads(coded["generator"]))
    if "array" in coded or "scalar" in coded or "tensor" in coded:
        return _decode_array(coded)
    if "dict" in coded:
        return {decode(k): decode(v) for k, v in coded["dict"]}
    if "items" in coded:
        items = [decode(item) for item in coded["of"]]
        return {kind.__name__: kind for kind in KINDS}[str(coded["items"])](items)
    if "opaque" in coded:
        return _opaque(str(coded["opaque"]))
    if "marks" in coded:
        return SimpleNamespace(**{name: decode(coded["marks"][name]) for name in coded["marks"]})
    raise ValueError(f"coded has the keys {sorted(coded)}; allowed is what `encode` writes")


def respond(answer: Callable[[], Any] | str, request: str = "") -> str:
    """Answer the grader; this runs in the student's kernel.

    Parameters
    ----------
    answer
        A function that gives the answer, to hold it, or the key of an answer that is held.
    request
        The arguments of a call of the held answer, as :class:`RemoteFunction` writes them.

    Returns
    -------
    str
        JSON with ``result``, ``error``, or ``function`` (the key of an answer to be called).
    """
    try:
        if not isinstance(answer, str):
            value = answer()
            if callable(value) and not _is_widget(value):
                key = str(len(_held))
                _held[key] = value
                return json.dumps({"function": key})
            return json.dumps({"result": _lossy(value)})
        arguments, named = decode(json.loads(request))
        before = [_text(value) for value in arguments]
        result = _held[answer](*arguments, **named)
        after = [_text(value) for value in arguments]
        changed = {str(i): json.loads(text) for i, text in enumerate(after) if text != before[i]}
        return json.dumps({"result": _lossy(result), "changed": changed})
    except (Exception, SystemExit, NotData) as error:
        told = {"error": type(error).__name__, "told": str(error)[:2000]}
        told["not implemented"] = isinstance(error, NotImplementedError)  # type: ignore[assignment]
        return json.dumps(told)


class RemoteFunction:
    """A student's function, called where it lives.

    Parameters
    ----------
    ask
        Sends a request to the kernel and returns what :func:`respond` returned there.
    """

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask = ask

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        reply = receive(self._ask(json.dumps(encode([list(arguments), named]))))
        for index, coded in reply.get("changed", {}).items():
            _change(arguments[int(index)], decode(coded))
        return decode(reply["result"])


def receive(text: str) -> dict[str, Any]:
    """Read what :func:`respond` returned; an error there is raised here by its name.

    Raises
    ------
    ValueError
        If it is not what :func:`respond` returns.
    """
    reply = json.loads(text)
    if not isinstance(reply, dict) or not {"result", "error", "function"} & reply.keys():
        raise ValueError("the reply is not that of an answer")
    if "error" in reply:
        raise _error(str(reply["error"]), str(reply["told"]), bool(reply["not implemented"]))
    return reply


def _error(name: str, told: str, stub: bool) -> BaseException:
    known = getattr(builtins, name, None)
    if name == "SystemExit":
        return SystemExit(told)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            error = known(told)
        except TypeError:  # such as UnicodeDecodeError, which wants more
            error = Exception(told)
        if str(error) == told:
            return error
    kind = NotImplementedError if stub else Exception
    return type(name if name.isidentifier() else "Exception", (kind,), {"__str__": lambda _: told})(
        told
    )


def _lossy(value: Any) -> Any:
    """Encode a student's value; what is not data becomes the name of its type."""
    if _is_widget(value):
        found = {mark: getattr(value, mark) for mark in MARKS if hasattr(value, mark)}
        return {"marks": {name: _lossy(part) for name, part in found.items()}}
    if isinstance(value, dict):
        return {"dict": [[encode(k), _lossy(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {"items": kind, "of": [_lossy(item) for item in value]}
    if _is_tensor(value):
        value = value.detach()
    try:
        return encode(value)
    except NotData:
        pass
    if hasattr(value, "__array__") and not isinstance(value, type):
        array = np.asarray(value)
        if not array.dtype.hasobject:
            return encode(array)
    return {"opaque": type(value).__name__}


def _text(value: Any) -> str:
    return json.dumps(encode(value))


def _is_widget(value: Any) -> bool:
    return any(hasattr(value, mark) for mark in ("touched", "value", "regularizer"))


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.startswith("torch") and hasattr(value, "detach")


def _npy(array: Any) -> str:
    if array.dtype.hasobject:
        raise NotData("an array of objects is not data")
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _encode_tensor(value: Any) -> Any:
    if type(value).__name__ != "Tensor" or value.requires_grad:
        raise NotData(f"a {type(value).__name__} with a gradient is not data")
    return {"tensor": _npy(value.cpu().numpy())}


def _decode_array(coded: dict[str, Any]) -> Any:
    (kind,) = coded.keys() & {"array", "scalar", "tensor"}
    raw = base64.b64decode(coded[kind])
    array = np.load(io.BytesIO(raw), allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("the array is not one of NumPy's files")
    if kind == "tensor":
        import torch

        return torch.from_numpy(array.copy())
    return array if kind == "array" else array[()]


def _generator(state: dict[str, Any]) -> np.random.Generator:
    names = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
    if state.get("bit_generator") not in names:
        raise ValueError(f"the generator is {state.get('bit_generator')!r}; allowed are {names}")
    generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
    generator.bit_generator.state = state
    return generator


def _change(argument: Any, value: Any) -> None:
    """Do to the grader's argument what the student's function did to its copy."""
    if isinstance(argument, np.random.Generator):
        argument.bit_generator.state = value.bit_generator.state
    elif isinstance(argument, np.ndarray) and argument.shape == value.shape:
        argument[...] = value
    elif _is_tensor(argument) and argument.shape == value.shape:
        argument.copy_(value)
    elif isinstance(argument, list):
        argument[:] = value
    elif isinstance(argument, dict | set):
        argument.clear()
        argument.update(value)


def _opaque(name: str) -> Any:
    return type(name if name.isidentifier() else "object", (Opaque,), {})()
