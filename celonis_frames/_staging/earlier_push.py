"""What follows from what an earlier push of the same id has left."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

from celonis_frames._staging.receipt import ReceiptState

Found = Literal["held", "none", "writing", "sealed"]
"""What is in the folder of the id's stage: another process works on it, nothing, chunks of a frame
that was not read to its end, or all chunks."""


class Step(Enum):
    """What a push does about the earlier one."""

    SEND = auto()  # begin the stage anew, and send the frame
    FINISH = auto()  # send the rest of what is staged, or follow its job
    FOLLOW = auto()  # read the state of the job that was submitted
    RETURN = auto()  # return the earlier push's status
    WAIT = auto()  # for the other process
    REFUSE = auto()  # the id has another target or schema
    LOST = auto()  # refuse, since the receipt of what is staged is gone, or what was being sent


def decide(receipt: ReceiptState | None, stage: Found, *, same: bool) -> Step:
    """What a push does that found this.

    A receipt with an end, or of a submitted job, holds whatever is in the folder: its process ended
    before it had removed the stage.

    Args:
        receipt: The state in the receipt; None if there is none.
        stage: What is in the folder.
        same: Whether target and schema are those of the receipt.
    """
    if receipt is not None and not same:
        return Step.REFUSE
    if receipt in ("DONE", "ACCEPTED"):
        return Step.RETURN
    if stage == "held":
        return Step.WAIT
    if receipt == "submitted":
        return Step.FOLLOW
    if receipt in ("ERROR", "CANCELED"):
        return Step.SEND
    if stage == "sealed":
        return Step.LOST if receipt is None else Step.FINISH
    return Step.LOST if receipt == "sending" else Step.SEND
