"""What a job came to is kept as plain values, whatever it came to."""

from __future__ import annotations

import msgspec
import pytest

from koppel.engine.queue import _done, _told
from koppel.errors import Defect, TryLater


def test_a_job_that_breaks_off_with_a_defect_is_answered_as_one() -> None:
    def broken(number: int) -> int:
        return number // 0

    answer = msgspec.json.decode(msgspec.json.encode(_done(broken, [1])))
    with pytest.raises(Defect, match="a defect ended the job: ZeroDivisionError"):
        _told(answer)


def test_the_consequence_of_an_error_reaches_who_waits_for_the_job() -> None:
    def away() -> None:
        raise TryLater("does not answer", place="crm")

    answer = msgspec.json.decode(msgspec.json.encode(_done(away, [])))
    with pytest.raises(TryLater, match="does not answer"):
        _told(answer)
