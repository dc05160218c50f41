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
    with pytest.raises(InputError, match=message) as error:
        sources.expand(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pdb:5j0n", "PDB: pdb_00005J0N"), ("emdb:3400", "EMDB:EMD-3400"), ("emdb:3400", "emdb:emd_3400"),
        ("1bd2", " 1BD2 "), ("pdb:pdb_1000a5j0", "pdb:PDB_1000A5J0"),
    ],
)  # fmt: skip
def test_two_ways_of_writing_one_entry_agree(one, other):
    assert sources.normal(one) == sources.normal(other) == one
    with pytest.raises(InputError, match="twice; wanted each volume once"):
        sources.expand([one, other])


@pytest.mark.parametrize("name", ["1bd2", "pdb:5j0n", "emdb:3400", "random:7:10", "5j0n", "https://a.org/x.mrc"])
def test_names_are_the_same_in_every_folder(name):
    assert sources.whole(name) == name


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("map.mrc", "{here}/map.mrc"), ("./maps/a.cif", "{here}/maps/a.cif"), ("../a.mrc", "{here}/../a.mrc"),
     ("~/a.mrc", "{home}/a.mrc"), ("/x/a.mrc", "/x/a.mrc"), ("maps/a", "{here}/maps/a"), ("a b.mrc", "{here}/a b.mrc")],
)  # fmt: skip
def test_paths_are_whole_from_the_folder_that_one_works_in(typed, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    whole = sources.whole(typed)
    assert whole == wanted.format(here=tmp_path, home="/home/ada")
    assert sources.whole(whole) == whole
