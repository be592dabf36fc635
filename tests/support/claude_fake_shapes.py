"""Whether a body has the shape that the SDK's parameter types give it, to the letter: nothing missing, nothing more."""

import types
import typing
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from anthropic.types.beta import SessionCreateParams, SessionUpdateParams
from anthropic.types.beta.sessions import EventSendParams, ResourceAddParams, ResourceUpdateParams
from typing_extensions import is_typeddict

# Parameters that the SDK's methods take and that do not travel in the body.
NOT_IN_THE_BODY = frozenset({"betas", "workspace_id", "session_id"})

BODIES: Mapping[str, Any] = {
    "create": SessionCreateParams,
    "update": SessionUpdateParams,
    "send": EventSendParams,
    "add_resource": ResourceAddParams,
    "update_resource": ResourceUpdateParams,
}


class Misshapen(Exception):
    """What is wrong, and where: an invalid_request_error in words like the API's own."""


def check_body(endpoint: str, body: Any) -> None:
    _check_fields(body, BODIES[endpoint], "", NOT_IN_THE_BODY)


def _check(value: Any, wanted: Any, where: str) -> None:
    origin = get_origin(wanted)
    if wanted in (Any, object):
        return
    if origin in (Required, NotRequired, typing.Annotated):
        _check(value, get_args(wanted)[0], where)
    elif origin in (Union, types.UnionType):
        _check_union(value, get_args(wanted), where)
    elif origin is Literal:
        if value not in get_args(wanted):
            raise Misshapen(f"{where}: Input should be one of {list(get_args(wanted))}")
    elif is_typeddict(wanted):
        _check_fields(value, wanted, where)
    elif origin is dict:
        if not isinstance(value, dict):
            raise Misshapen(f"{where}: Input should be a valid dictionary")
        for name, item in value.items():
            _check(item, get_args(wanted)[1], f"{where}.{name}")
    elif origin is not None and (issubclass(origin, Iterable) or origin.__name__ == "SequenceNotStr"):
        if not isinstance(value, list):
            raise Misshapen(f"{where}: Input should be a valid list")
        for index, item in enumerate(value):
            _check(item, get_args(wanted)[0], f"{where}.{index}")
    else:
        _check_plain(value, wanted, where)


def _check_plain(value: Any, wanted: Any, where: str) -> None:
    if wanted is datetime:
        wanted = str
    if wanted is float:
        wanted = (int, float)
    if wanted is None:
        wanted = type(None)
    # In JSON a boolean is no number, whatever Python thinks.
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise Misshapen(f"{where}: Input should be a valid {getattr(wanted, '__name__', 'number')}")


def _check_union(value: Any, alternatives: tuple[Any, ...], where: str) -> None:
    """Of several objects the one with this `type` is meant: its own complaint says more than "none of these"."""
    if isinstance(value, dict):
        tagged = [item for item in alternatives if is_typeddict(item) and value.get("type") in _tags(item)]
        if len(tagged) == 1:
            return _check(value, tagged[0], where)
    complaints = []
    for alternative in alternatives:
        try:
            return _check(value, alternative, where)
        except Misshapen as complaint:
            complaints.append(str(complaint))
    raise Misshapen(complaints[0] if len(complaints) == 1 else f"{where}: Input matches none of its allowed shapes")


def _tags(shape: Any) -> tuple[Any, ...]:
    tag = _hints(shape).get("type")
    while get_origin(tag) in (Required, NotRequired):
        tag = get_args(tag)[0]
    return get_args(tag) if get_origin(tag) is Literal else ()


def _hints(shape: Any) -> dict[str, Any]:
    return typing.get_type_hints(shape, include_extras=True)


def _check_fields(value: Any, shape: Any, where: str, without: frozenset[str] = frozenset()) -> None:
    if not isinstance(value, dict):
        raise Misshapen(f"{where or 'body'}: Input should be an object")
    prefix = f"{where}." if where else ""
    hints = {name: hint for name, hint in _hints(shape).items() if name not in without}
    for name in value:
        if name not in hints:
            raise Misshapen(f"{prefix}{name}: Extra inputs are not permitted")
    for name, hint in hints.items():
        if name in value:
            _check(value[name], hint, prefix + name)
        elif get_origin(hint) is Required:
            raise Misshapen(f"{prefix}{name}: Field required")
