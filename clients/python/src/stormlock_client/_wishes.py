"""All that one holder wants: one wish a resource that is spoken of, and one that comes after it."""

from __future__ import annotations

from typing import Dict, Iterable, List, Optional

from ._errors import InvalidField, Unavailable
from ._wish import Wish

# What a daemon keeps on one stream. It would put off the one after that for as long as there is no
# room, and that may be for ever.
MOST = 10_000


class Wishes:
    def __init__(self) -> None:
        self._present: Dict[str, Wish] = {}
        self._next: Dict[str, Wish] = {}  # wait until the daemon has let the old lease go
        self._touched: Dict[Wish, None] = {}  # since the last look; in this order
        #: Whether something has changed for all of them.
        self.is_stale = True

    def add(self, wish: Wish) -> None:
        """One that is being released, or was lost, can be asked for again. Raises InvalidField,
        and Unavailable when there are too many."""
        resource = wish.resource
        earlier = self._present.get(resource)
        if (earlier is not None and earlier.is_wanted) or resource in self._next:
            raise InvalidField(f"{resource} is held or awaited by this client already", "resource")
        count = len(self._present) + len(self._next)
        if count >= MOST and sum(each.is_wanted for each in self.all) >= MOST:
            raise Unavailable(
                f"{resource} was not asked for: this client holds or awaits {MOST} locks, "
                "which is the limit; release some, or open another client"
            )
        (self._present if earlier is None else self._next)[resource] = wish
        self.touch(wish)
        self.is_stale = self.is_stale or earlier is not None

    @property
    def present(self) -> Iterable[Wish]:
        """Those that daemons are spoken to about."""
        return self._present.values()

    @property
    def all(self) -> List[Wish]:
        return [*self._present.values(), *self._next.values()]

    @property
    def is_empty(self) -> bool:
        return not self._present and not self._next

    def is_present(self, wish: Wish) -> bool:
        return self._present.get(wish.resource) is wish

    def find(self, resource: str, lease_id: Optional[str] = None) -> Optional[Wish]:
        """The one that something is said of; it is to be looked at."""
        wish = self._present.get(resource)
        if wish is None or (lease_id is not None and wish.lease_id != lease_id):
            return None
        self.touch(wish)
        return wish

    def touch(self, wish: Wish) -> None:
        """Something has happened to it: it is to be looked at."""
        self._touched[wish] = None

    def take_touched(self) -> List[Wish]:
        touched, self._touched = [*self._touched], {}
        return touched

    def forget(self, wish: Wish) -> None:
        """It is over; whoever waited for that comes next."""
        if self._next.get(wish.resource) is wish:
            del self._next[wish.resource]
        elif self.is_present(wish):
            del self._present[wish.resource]
            successor = self._next.pop(wish.resource, None)
            if successor is not None:
                self._present[wish.resource] = successor
                self.is_stale = True
