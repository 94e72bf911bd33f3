"""The balances that were seen last, so that the usual charge is one blind write."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from shared.credits.model import Balance
from shared.times import Clock

_REMEMBERED_BALANCES = 1000


@dataclass(frozen=True, slots=True)
class _View:
    """A balance, and when it was last read. Own charges are taken off it since; those of others are not."""

    balance: Balance
    read_at: datetime


class BalanceViews:
    """The last view of each workspace's balance, of the thousand that were used last. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._lock = Lock()

    def get(self, workspace_id: str, *, within: timedelta | None = None) -> Balance | None:
        """The last balance that was seen, with what was charged here since; None if there is none. One that was read
        longer ago than `within` is forgotten: others may have spent a lot of it.
        """
        with self._lock:
            view = self._views.get(workspace_id)
            if view is None:
                return None
            if within is not None and self._clock() - view.read_at > within:
                del self._views[workspace_id]
                return None
            return view.balance

    def drop(self, workspace_id: str) -> None:
        """Forgets the balance: it was changed in a way that is not reckoned here."""
        with self._lock:
            self._views.pop(workspace_id, None)

    def keep(self, balance: Balance, *, read: bool = True) -> Balance:
        """Keeps the balance as the last that was seen; one that was not `read` but reckoned is as old as what it was
        reckoned from.
        """
        with self._lock:
            known = self._views.get(balance.workspace_id)
            read_at = self._clock() if read or known is None else known.read_at
            self._views[balance.workspace_id] = _View(balance, read_at)
            self._views.move_to_end(balance.workspace_id)
            if len(self._views) > _REMEMBERED_BALANCES:
                self._views.popitem(last=False)
        return balance

    def clear(self) -> None:
        """Forgets all of them, as a function that starts cold."""
        with self._lock:
            self._views.clear()
