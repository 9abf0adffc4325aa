"""What stops a caller.

Either an answer is definite: it is true, and asking again changes nothing by itself. Or it is
unknown: what was asked may or may not have been done, and asking again with the same lease id is
safe (the client does so until its patience ends).
"""

from __future__ import annotations

from typing import ClassVar, Optional

from ._lease import Lease


class StormlockError(Exception):
    """Whatever this package raises."""

    #: Whether the answer is known to be true.
    definite: ClassVar[bool] = False


class LockHeld(StormlockError):
    """Somebody else holds it, and there was no time to wait, or no more. Definite."""

    definite = True

    def __init__(self, message: str, holder: Optional[Lease] = None) -> None:
        super().__init__(message)
        #: The lease that stands in the way, without its id; None when that is not known.
        self.holder = holder


class LeaseLost(StormlockError):
    """The lease does not hold the resource, or does no longer. Definite."""

    definite = True


class InvalidField(StormlockError):
    """Something is outside its limits: the message names field, value and limit. Definite."""

    definite = True

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        #: Which one.
        self.field = field


class NotAllowed(StormlockError):
    """This caller may not. Definite."""

    definite = True


class Unavailable(StormlockError):
    """No daemon has given a definite answer within the client's patience. Unknown."""


class Unreachable(Unavailable):
    """No connection came about: what was asked has certainly not arrived anywhere."""


class Cancelled(StormlockError):
    """Given up by the caller, or the client was closed. Unknown."""


class Refused(StormlockError):
    """What answers is no Stormlock daemon, or wants other credentials. Asking again is useless."""
