"""The page of volumes: each kind of protein, its address, uploads good and bad."""

from __future__ import annotations

import csv
import io
import json
import shutil
import struct
from urllib.parse import parse_qs

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from engine.geometry import symmetry
from engine.imaging import symmetric_density
from engine.io.loading import BUILT_IN, local_path
from engine.io.mrc import write_map
from tests.app_testing import page, shown, texts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


def facts(app: AppTest) -> dict[str, str]:
    """What the page says of the protein, by its label."""
    pairs = [element.value.split("  \n") for element in app.markdown if ":small[" in element.value]
    return {label.split("[")[-1].rstrip("]"): value.strip("*") for label, value in pairs}


def surface_title(app: AppTest) -> str:
    return json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["title"]["text"]


@pytest.fixture
def folder(runs_dir, toy_density):
    """The folder beside the runs, with a map."""
    (runs_dir / "volumes").mkdir(parents=True)
    write_map(runs_dir / "volumes" / "toy.mrc", toy_density, 2.5, np.zeros(3))
    return runs_dir / "volumes"


def test_without_files_the_built_in_ones_are_there(runs_dir):
    app = page("volumes")
    assert app.radio(key="volume").options == list(BUILT_IN)
    assert app.query_params["volume"] in ("1bd2", ["1bd2"])
    assert facts(app) == {
        "Outer radius": "68.9 Å", "Radius of gyration": "36.9 Å", "Voxel": "2.67 Å", "Grid": "45 × 29 × 50",
        "Frame": "73 px, 195 Å", "Symmetry": "C1", "Mass": "84 kDa", "Atoms": "6,339 in 5 chains",
    }  # fmt: skip
    assert len(app.get("plotly_chart")) == 3
    assert not app.error
    (link,) = app.get("page_link")
    assert (link.label, link.proto.query_string) == ("New experiment with this one", "")  # it is the default


def test_beneath_each_figure_are_its_data_to_download(folder, monkeypatch, toy_density):
    offered = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, name, *_, **named: offered.update({name: data}))
    page("volumes", volume="toy.mrc", level="3")
    assert list(offered) == ["toy.mrc-surface.csv", "toy.mrc-slices.csv", "toy.mrc-gallery.csv"]
    surface, slices, gallery = ([*csv.DictReader(io.StringIO(make()))] for make in offered.values())
    assert {row["series"] for row in surface} == {"vertices", "faces"}
    assert len(gallery) % 8 == 0
    nz, _, nx = toy_density.shape
    assert [row["panel"] for row in slices].count("xz") == nx * nz
    densities = {float(row["density"]) for row in slices}
    assert densities <= set(toy_density.ravel().tolist())


def test_the_address_says_which(folder):
    app = page("volumes", volume="toy.mrc")
    assert app.header[0].value.replace("\\", "") == "toy.mrc"
    shown_facts = facts(app)
    assert shown_facts["Symmetry"] == "none detected"
    assert shown_facts["Mass"] == "unknown for a map"
    assert shown_facts["Grid"] == "26 × 22 × 24"
    (link,) = app.get("page_link")
    assert parse_qs(link.proto.query_string) == {"set": [f"volume.source='{folder / 'toy.mrc'}'".replace("'", '"')]}


def test_a_symmetric_map_is_reported_as_ambiguous(folder, toy_volume):
    density = symmetric_density.oligomer(toy_volume.density, toy_volume.center_index, symmetry.group("C2"))
    write_map(folder / "dimer.mrc", density, 2.5, np.zeros(3))
    app = page("volumes", volume="dimer.mrc")
    assert "turned by 1/2 about z (correlation 1.000 at least), so poses are ambiguous" in texts(app.warning).replace(
        "\\", ""
    )
    assert facts(app)["Symmetry"] == "2-fold about z"
    assert not page("volumes", volume="toy.mrc").warning


def test_another_one_is_picked(folder):
    app = page("volumes")
    app.radio(key="volume").set_value("6msm")
    shown(app)
    assert app.query_params["volume"] in ("6msm", ["6msm"])
    assert facts(app)["Symmetry"] == "C1, nearly C2"


def test_the_level_of_the_surface_is_in_the_address(runs_dir):
    app = page("volumes", level="4.5")
    assert surface_title(app) == "Surface at 4.5 σ above the mean"
    app.slider[0].set_value(3.0)
    shown(app)
    assert surface_title(app) == "Surface at 3 σ above the mean"
    assert app.query_params["level"] in ("3", ["3"])


@pytest.mark.parametrize("level", ["", "high", "-1", "nan", "1e9"])
def test_a_level_that_is_none_is_passed_over(runs_dir, level):
    app = page("volumes", level=level)
    assert surface_title(app) == "Surface at 2.1 σ above the mean"
    assert "level" not in app.query_params


@pytest.mark.parametrize("asked", ["<b>x</b>", "../etc/passwd", "", "y" * 5000])
def test_an_unknown_name_is_reported(folder, asked):
    app = page("volumes", volume=asked)
    (warning,) = app.warning
    assert "at hand; 1bd2 is shown instead" in warning.value.replace("\\", "")
    assert "<b>" not in warning.value
    assert app.query_params["volume"] in ("1bd2", ["1bd2"])


def test_an_upload_is_listed_and_shown(runs_dir):
    app = page("volumes")
    data = local_path("1tii").read_bytes()
    app.file_uploader(key="upload").set_value(("mine.pdb.gz", data, "application/gzip"))
    shown(app)
    assert app.radio(key="volume").value == "mine.pdb.gz"
    assert facts(app)["Atoms"] == facts(page("volumes", volume="1tii"))["Atoms"]
    assert (runs_dir / "volumes" / "mine.pdb.gz").read_bytes() == data


def test_a_bad_upload_is_reported_and_the_page_stays(runs_dir):
    app = page("volumes")
    app.file_uploader(key="upload").set_value(("x.mrc", b"no map", "application/octet-stream"))
    shown(app)
    assert texts(app.error).replace("\\", "") == "x.mrc is no MRC map: it holds 6 bytes, a header has 1024"
    assert app.radio(key="volume").value == "1bd2"


def test_a_damaged_file_costs_its_own_pictures_only(folder):
    (folder / "toy.mrc").write_bytes(b"torn")
    app = page("volumes", volume="toy.mrc")
    assert "toy.mrc is no MRC map" in texts(app.error).replace("\\", "")
    assert app.radio(key="volume").options == [*BUILT_IN, "toy.mrc"]


def test_a_file_that_goes_away_is_no_trouble(folder):
    app = page("volumes", volume="toy.mrc")
    shutil.rmtree(folder)
    shown(app)
    assert app.radio(key="volume").value == "1bd2"


def test_what_is_doubtful_in_a_file_is_said_above_its_pictures(folder):
    content = (folder / "toy.mrc").read_bytes()
    (folder / "toy.mrc").write_bytes(content[:76] + struct.pack("<3f", -9, 9, 0) + content[88:])
    (warning,) = page("volumes", volume="toy.mrc").warning
    assert "toy.mrc: the header's statistics (minimum -9, maximum 9, mean 0) are not those" in (
        warning.value.replace("\\", "")
    )
    (warning,) = page("experiment", set=f"volume.source='{folder / 'toy.mrc'}'").warning
    assert "the header's statistics" in warning.value.replace("\\", "")
