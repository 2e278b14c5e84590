"""Options that say how a stream goes on, and what is missing in it."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from rlfast.websocket._resume import Resume
from rlfast.websocket._sequence import Sequence
from rlfast.websocket._settings import ConnectArguments

__all__ = ["ContinuityOptions", "no_numbers"]


@dataclass(frozen=True)
class ContinuityOptions:
    """What the command line says about numbers and cursors in the messages."""

    sequence: str | None = None
    sequence_by: str | None = None
    sequence_last: str | None = None
    sequence_step: int = Sequence.step
    sequence_per_connection: bool = False

    def _sequence(self) -> Sequence | None:
        """Return where messages have numbers. Raises typer.BadParameter: there is only more about them."""
        more = self.sequence_by, self.sequence_last, self.sequence_step, self.sequence_per_connection
        if self.sequence is not None:
            return Sequence(self.sequence, *more)
        if more != (None, None, Sequence.step, False):
            raise typer.BadParameter("--sequence-by and its like need --sequence POINTER")
        return None

    resume: str | None = None
    resume_gone: str | None = None

    def _resume(self) -> Resume | None:
        if self.resume is None:
            if self.resume_gone is not None:
                raise typer.BadParameter("--resume-gone needs --resume NAME=POINTER")
            return None
        name, equals, pointer = self.resume.partition("=")
        if not equals:
            raise typer.BadParameter(f"--resume {self.resume!r}: write NAME=POINTER, such as cursor=/time_us")
        return Resume(name, pointer, gone=self.resume_gone)

    def arguments(self) -> ConnectArguments:
        """The same for `rlfast.connect`. Raises typer.BadParameter: one cannot be read."""
        return {"sequence": self._sequence(), "resume": self._resume()}


def no_numbers(sequence: Sequence) -> str:
    """What to say when nothing could be checked."""
    return f"warning: no message has a whole number at {sequence.number}, so no gap in them can be found"
