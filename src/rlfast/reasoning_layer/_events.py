"""The events of the Reasoning Layer streams as msgspec structs.

Names, order and optionality of the fields are those of the official Python SDK 1.6.0 (its generated models
``AgentEvent`` and ``OversightAlertDto``). Ids are `str` here, because msgspec decodes an event more than
twice as fast that way; the alias `UUIDStr` tells the column plan to store them as 16-byte UUIDs. Timestamps
stay text, as in the SDK. All structs are immutable; events take keyword arguments only.

``msgspec.json.decode(payload, type=AgentEvent)`` picks the struct by the JSON field ``type``. An optional
field may be absent or null; fields that a struct does not know are ignored in message mode and kept in the
column ``_extra`` in batch mode.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from rlfast.schema import UUIDStr

__all__ = [
    "AgentEvent",
    "AttentionShift",
    "ChangeType",
    "Connected",
    "CycleComplete",
    "ErrorEvent",
    "GoalCompleted",
    "Heartbeat",
    "HitlRequest",
    "ImpasseDetected",
    "KbChange",
    "OversightAlert",
    "Severity",
]

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
ChangeType: TypeAlias = Literal["added", "updated", "deleted", "feature_modified"]
Severity: TypeAlias = Literal["info", "warning", "critical"]


# gc=False takes an object off the garbage collector's list: right for structs that hold no containers and so
# cannot be part of a reference cycle. CycleComplete and ImpasseDetected hold lists and stay tracked.


class KbChange(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="kb_change"):
    """A term of the knowledge base changed.

    Attributes:
        change_type: what happened to the term.
        sort: the sort of the term.
        term_id: the term.
    """

    change_type: ChangeType
    sort: str
    term_id: UUIDStr


class HitlRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="hitl_request"):
    """An action waits for a human's review ("human in the loop").

    Attributes:
        action_sort: the sort of the action.
        confidence: the agent's confidence in the action.
        deadline: until when the review is wanted, as the server wrote it, or None.
        review_id: the review.
    """

    action_sort: str
    confidence: float
    deadline: str | None = None
    review_id: UUIDStr


class CycleComplete(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cycle_complete"):
    """The agent finished a cognitive cycle.

    Attributes:
        actions_executed: number of actions executed in the cycle.
        agent_id: the agent.
        beliefs_updated: number of beliefs updated in the cycle.
        pending_reviews: the reviews that the cycle left open.
    """

    actions_executed: Count
    agent_id: UUIDStr
    beliefs_updated: Count
    pending_reviews: list[UUIDStr]


class AttentionShift(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="attention_shift",
    rename={"from_": "from"},
):
    """The agent's attention went to another goal or term.

    Attributes:
        from_: the focus before, or None; ``from`` in JSON and in columns.
        priority: the priority of the new focus.
        to: the new focus.
    """

    from_: UUIDStr | None = None
    priority: float
    to: UUIDStr


class GoalCompleted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="goal_completed"
):
    """A goal ended.

    Attributes:
        goal_id: the goal.
        result: the outcome in words, or None.
        success: whether the goal was reached.
    """

    goal_id: UUIDStr
    result: str | None = None
    success: bool


class ImpasseDetected(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="impasse_detected"):
    """The agent cannot go on with a goal.

    Attributes:
        blocked_goal: the goal.
        impasse_type: the kind of impasse.
        recovery_suggestions: what might help, in words.
    """

    blocked_goal: UUIDStr
    impasse_type: str
    recovery_suggestions: list[str]


class Connected(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="connected"):
    """The server confirms the subscription; the first event of every connection.

    Attributes:
        agent_id: the agent whose events follow.
        timestamp: the server's clock, as the server wrote it.
    """

    agent_id: UUIDStr
    timestamp: str


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="heartbeat"):
    """A sign of life on a quiet stream.

    Attributes:
        timestamp: the server's clock, as the server wrote it.
    """

    timestamp: str


class ErrorEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="error"):
    """The server reports an error on the stream; the connection stays open.

    Attributes:
        code: the server's error code.
        message: the error in words.
    """

    code: str
    message: str


AgentEvent: TypeAlias = (
    KbChange
    | HitlRequest
    | CycleComplete
    | AttentionShift
    | GoalCompleted
    | ImpasseDetected
    | Connected
    | Heartbeat
    | ErrorEvent
)
"""Any event of the agent stream, told apart by the JSON field ``type``."""


class OversightAlert(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An alert of the oversight of an agent (the SDK's ``OversightAlertDto``).

    Attributes:
        agent_id: the agent responsible, or None; any text, since the SDK does not promise a UUID here.
        layer: the verification layer that raised the alert.
        message: the alert in words.
        severity: how grave it is.
        step_index: index of the trajectory step that raised the alert, from 0.
    """

    agent_id: str | None = None
    layer: str
    message: str
    severity: Severity
    step_index: Count
