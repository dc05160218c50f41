from __future__ import annotations

import pytest

from engine.base.errors import InputError
from engine.io import sources


def test_sources_are_counted_out():
    assert sources.expand([" random:8:3", "1BD2 ", "emdb:3400", "maps/A.mrc"]) == (
        "random:8", "random:9", "random:10", "1bd2", "emdb:3400", "maps/A.mrc",
    )  # fmt: skip
    assert len(sources.expand(["random:0:10000"])) == 10_000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["random:1:0"], "'random:1:0'; wanted random:SEED or random:SEED:COUNT"),
        (["random:a"], "'random:a'; wanted random:SEED or random:SEED:COUNT"),
        (["random:0:10001"], "at most 10,000 volumes"),
        (["random:0:9000", "random:9000:9000"], "18,000 volumes; wanted at most 10,000"),
        (["random:1:5", "random:3"], "has 'random:3' twice; wanted each volume once"),
        (["1bd2", "1BD2"], "has '1bd2' twice"),
    ],
)
def test_what_is_no_list_of_proteins_is_named(given, message):
    with pytest.raises(InputError, match=message) as told:
        sources.expand(given)
    assert "\n" not in str(told.value)
