"""Whose action it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Self

from ..base import environment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Actor:
    """Somebody who acts. ``name`` is what records say, such as ``launched_by``."""

    name: str

    @classmethod
    def of_this_process(cls) -> Self:
        """The operating system's user: who that is until there is a sign-in."""
        return cls(environment.user())

    def does(self, action: str, what: str) -> None:
        """Say in the log that this actor does something to something."""
        log.info("%s: %s %s", self.name, action, what)
