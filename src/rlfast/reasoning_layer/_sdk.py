"""The bridge to the official Python SDK, ``reasoning_layer_python_sdk`` (extra ``sdk``).

`to_sdk` and `from_sdk_event` convert single events, so that code written for the SDK's pydantic
``AgentEvent`` keeps working behind rlfast. `read_official_client` takes what a stream needs from a client of
the SDK.

The SDK takes some seconds to import. This module imports it at the first conversion and never before; a
program that may not stall its event loop then imports the SDK when it starts.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from rlfast.decode._messages import UnknownEvent
from rlfast.errors import ConfigError, MissingExtraError
from rlfast.reasoning_layer._events import AgentEvent, OversightAlert

__all__ = ["OfficialClient", "from_sdk_event", "read_official_client", "to_sdk"]

_PACKAGE = "reasoning_layer_python_sdk"

# The headers that a stream sets by itself or that belong to one REST request, in lower case.
_NOT_CARRIED = frozenset(
    {
        "accept",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-sdk-language",
        "x-sdk-version",
        "x-tenant-id",
    }
)


def to_sdk(event: AgentEvent | OversightAlert) -> Any:
    """Convert an event to the official SDK's pydantic model.

    Args:
        event: any struct of `rlfast.reasoning_layer` that the SDK has a model for.

    Returns:
        The SDK's ``AgentEvent`` (its ``actual_instance`` is the concrete model), equal to what the SDK's
        ``AgentEvent.from_json`` makes of the same event; or its ``OversightAlertDto`` for an
        `OversightAlert`.

    Raises:
        MissingExtraError: the SDK is not installed.
        ConfigError: `event` is an `UnknownEvent` or no event at all; the SDK has no model for it.
        ValueError: the SDK's model refuses a value, such as an id that is not a UUID
            (``pydantic.ValidationError`` is a ValueError, too).
    """
    models = _models()
    if isinstance(event, OversightAlert):
        return models.OversightAlertDto.model_validate(msgspec.to_builtins(event))
    if not isinstance(event, AgentEvent):
        kind = f"the event type {event.type!r}" if isinstance(event, UnknownEvent) else type(event).__name__
        raise ConfigError(f"the official SDK has no model for {kind}")
    model = _concrete_models.get(type(event))
    if model is None:
        # The SDK numbers its models (AgentEventOneOf, AgentEventOneOf1, ...) in the order of its API
        # description. Its own search finds the right one whatever the numbers are; it is slow, so once a
        # type.
        wrapper = models.AgentEvent.from_json(msgspec.json.encode(event))
        _concrete_models[type(event)] = type(wrapper.actual_instance)
        return wrapper
    return models.AgentEvent(model.model_validate(msgspec.to_builtins(event)))


def from_sdk_event(model: Any) -> AgentEvent | OversightAlert:
    """Convert an event of the official SDK to the struct of rlfast.

    Args:
        model: the SDK's ``AgentEvent``, one of the concrete models inside it, or its ``OversightAlertDto``.

    Raises:
        MissingExtraError: the SDK is not installed.
        ConfigError: `model` is not such an object, is empty, or holds what rlfast's struct does not allow.
    """
    models = _models()
    if isinstance(model, models.AgentEvent):
        model = model.actual_instance
    expected: Any = OversightAlert if isinstance(model, models.OversightAlertDto) else AgentEvent
    try:
        # to_dict() uses the names of the JSON (``from``, not ``var_from``); to_builtins turns the SDK's UUID
        # and enum objects into text.
        event: AgentEvent | OversightAlert = msgspec.convert(msgspec.to_builtins(model.to_dict()), expected)
    except (AttributeError, TypeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{type(model).__name__} is not an event of the official SDK: {error}") from error
    return event


@dataclass(frozen=True, slots=True)
class OfficialClient:
    """What a stream takes from a client of the official SDK.

    Attributes:
        base_url: the platform's URL.
        tenant_id: the tenant.
        headers: returns the headers that the SDK would send now, credentials included; called for every
            attempt to connect, so that a token renewed in the SDK's client is used.
    """

    base_url: str
    tenant_id: str | uuid.UUID
    headers: Callable[[], Mapping[str, str]] = field(repr=False)


def read_official_client(official: Any) -> OfficialClient:
    """Read base URL, tenant and headers from a ``reasoning_layer_python_sdk.ReasoningLayerClient``.

    The SDK's ``api_key`` is the whole value of the Authorization header. Without one the SDK makes it of the
    environment variable ``API_KEY``; if that is empty, too, no Authorization header is sent.

    Raises:
        ConfigError: `official` is not a client of the SDK, or one of a version that keeps its settings
            elsewhere.
    """
    config: Any = getattr(official, "_config", None)
    api_client: Any = getattr(official, "_api_client", None)
    base_url = getattr(config, "base_url", None)
    tenant_id = getattr(config, "tenant_id", None)
    if (
        not isinstance(base_url, str)
        or not isinstance(tenant_id, (str, uuid.UUID))
        or not isinstance(getattr(api_client, "default_headers", None), Mapping)
    ):
        raise ConfigError(
            f"from_sdk expects a {_PACKAGE}.ReasoningLayerClient of version 1.6 or a later 1.x, "
            f"not {type(official).__module__}.{type(official).__qualname__}"
        )

    def headers() -> dict[str, str]:
        found = {
            name: value
            for name, value in api_client.default_headers.items()
            if name.lower() not in _NOT_CARRIED and not name.lower().startswith("sec-websocket-")
        }
        cookie = getattr(api_client, "cookie", None)
        if cookie:
            found["Cookie"] = cookie
        # "Bearer " without a token is what the SDK sends when it was given none.
        if str(found.get("Authorization", "")).strip() in ("", "Bearer"):
            found.pop("Authorization", None)
        return found

    return OfficialClient(base_url, tenant_id, headers)


_concrete_models: dict[type, Any] = {}


@cache
def _models() -> Any:
    try:
        importlib.import_module(_PACKAGE)
        return importlib.import_module(f"{_PACKAGE}.generated.models")
    except ModuleNotFoundError as error:
        if error.name == _PACKAGE:
            raise MissingExtraError(_PACKAGE, "sdk") from error
        raise  # The SDK is there and one of its own dependencies is not: its error names that one.
