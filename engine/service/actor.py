"""Who takes an action."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Self

from ..base import environment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Actor:
    """Who takes an action. ``name`` is the one in records, such as ``launched_by``."""

    name: str

    @classmethod
    def of_this_process(cls) -> Self:
        """The operating system's user: who that is until there is a sign-in."""
        return cls(environment.user())

    def does(self, action: str, what: str) -> None:
        """Log an action of this actor on some object."""
        log.info("%s: %s %s", self.name, action, what)
