"""What the pages say and ask, without a page: words, form fields from the schema, progress from events."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path

import pytest

from engine.config.schema import Config
from engine.config.settings import config_from_dict, load_config
from engine.experiment.stages import stages, stages_of
from pages._experiment import form
from pages._experiment.settings import sections
from pages._shared import live, text

OTHER = {
    "seed": 7,
    "volume": {"source": 'maps/it\'s "mine" & yours.mrc', "voxel_size": 1.5},
    "projections": {"coverage": [[0, 90], [10, 45.5], [-180, 180]], "snr": 0.1, "sampling": "euler", "max_shift": 2.5},
    "distance": {"method": "perturbed"},
    "recovery": {"max_distance": 1.5, "pairs": "knn+random"},
    "reconstruction": {"enabled": False},
}


@pytest.mark.parametrize(
    "table",
    [{}, OTHER, {"volume": {"source": "true"}}, {"volume": {"source": "12"}}, {"volume": {"source": "a = 'b'"}}],
)
def test_the_command_line_describes_the_same_experiment(table):
    config = config_from_dict(table)
    program, *words = shlex.split(text.command_line(config).replace("\\\n", " "))
    assert [program, *words[:3]] == ["python", "-m", "engine", "run"]
    assert set(words[3::2]) <= {"--set"}
    assert load_config(None, words[4::2]) == config


def test_the_default_experiment_needs_no_option():
    assert text.command_line(Config()) == "python -m engine run"


@pytest.mark.parametrize(
    ("radians", "wanted"),
    [
        (math.pi, "180°"),
        (math.radians(11.42), "11.4°"),
        (math.radians(1.1), "1.10°"),
        (0.0125387, "0.718°"),
        (1e-8, "< 0.001°"),
        (0.0, "0°"),
    ],
)
def test_angles_are_shown_in_degrees(radians, wanted):
    assert text.degrees(radians) == wanted


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_what_is_not_known_is_a_dash(unknown):
    assert text.degrees(unknown) == text.number(unknown, "Å") == "–"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.00135536, "0.00136 rad"),
        (3.6458e-15, "3.65·10⁻¹⁵ rad"),
        (12.34, "12.3 rad"),
        (12, "12.0 rad"),
        (1500, "1.50·10³ rad"),
        (0, "0 rad"),
    ],
)
def test_numbers_have_three_digits_and_a_unit(value, wanted):
    assert text.number(value, "rad") == wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(0.44, "0.4 s"), (32.2, "32 s"), (59.7, "1 min 00 s"), (97.1, "1 min 37 s"), (7500, "2 h 05 min"), (None, "–")],
)
def test_durations(seconds, wanted):
    assert text.duration(seconds) == wanted


def test_typed_text_loses_its_markup_and_nothing_else():
    typed = "<b>x</b> :red[y] $z$ **w** `v` [u](http://t) 1. # :tada: 10:30 & \\"
    shown = text.escaped(typed)
    assert shown.replace("\\", "") == typed.replace("\\", "")
    for sign in "<>[]()$*`#&:":
        assert shown.count(sign) == shown.count("\\" + sign) == typed.count(sign)
    assert text.escaped("two\n\n# lines") == "two \\# lines"


def test_an_experiment_in_words():
    assert text.experiment(Config()) == (
        "1bd2 · 1,000 projections · full coverage, SO(3) sampling · no noise · learned distances · seed 0"
    )
    assert text.experiment(config_from_dict(OTHER)) == (
        'it\'s "mine" & yours.mrc · 1,000 projections · rot 0–90°, tilt 10–45.5°, psi -180–180° coverage, '
        "Euler sampling · noise SNR 0.1 · shifts up to 2.5 px · perturbed distances · seed 7"
    )


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"volume": {"symmetry": "d2"}}, ["1bd2, D2", "learned distances", "seed 0"]),
        (
            {"volume": {"symmetry": "C3", "symmetrize": "oligomer"}},
            ["1bd2, C3 oligomer", "learned distances", "seed 0"],
        ),
        ({"volume": {"symmetrize": "oligomer"}}, ["1bd2", "learned distances", "seed 0"]),
        (
            {"training": {"volumes": "random:1:9, 6msm"}, "refinement": {"enabled": True}},
            ["1bd2", "learned distances, trained on random:1:9, 6msm", "refined", "seed 0"],
        ),
    ],
)
def test_symmetry_other_proteins_and_refinement_are_mentioned(table, expected):
    parts = text.experiment(config_from_dict(table)).split(" · ")
    assert [parts[0], *parts[4:]] == expected


def test_a_long_list_of_proteins_is_cut():
    volumes = [f"random:{number}" for number in range(40)]
    wanted = text.experiment(config_from_dict({"training": {"volumes": volumes}}))
    assert "trained on random:0, random:1, " in wanted
    assert "… · seed 0" in wanted
    assert len(wanted) < 180


def test_form_fields_are_the_schema():
    settings = {key: setting for section in sections().values() for key, setting in section.settings.items()}
    defaults = {key: setting.default for key, setting in settings.items()}
    assert defaults.pop("training.volumes") == "", "a list is a text of words"
    assert defaults["volume.source"] is None, "it depends on what the images are"
    protein = {"volume.source": Config().volume.source}
    assert form.nested(defaults | {"training.volumes": ()} | protein) == Config().model_dump()
    count = settings["projections.count"]
    assert (count.kind, count.default, count.minimum, count.maximum) == ("integer", 1000, 4, 200_000)
    assert count.description == "number of test projections"
    variance = settings["projections.noise_variance"]
    assert (variance.kind, variance.default, variance.minimum, variance.maximum) == ("number", None, 0.0, 1e24)
    assert settings["projections.snr"].minimum == 1e-14
    assert count.help == "number of test projections. A whole number from 4 to 200,000."
    assert (settings["seed"].typed, count.typed) == (True, False)
    assert settings["recovery.pairs"].choices == ("random", "knn", "knn+random", "uniform", "all")
    assert settings["reconstruction.enabled"].kind == "flag"
    assert settings["projections.max_shift"].label == "Max shift (px)"
    assert settings["distance.perturbation_variance"].label == "Perturbation variance (rad²)"


def test_a_run_goes_through_the_stages_that_its_configuration_asks_for():
    of_particles = {"particles", "frame", "particle_reconstruction", "particle_refinement"}
    of_halves = {"half_maps", "training_half2", "distance_half2", "recovery_half2"}
    simulated = tuple(stage.name for stage in stages() if stage.name not in of_particles | of_halves)
    assert stages_of(config_from_dict({"refinement": {"enabled": True}})) == simulated
    assert stages_of(Config()) == simulated[:-1]
    recorded = config_from_dict({"particles": {"source": "a.star"}, "volume": {"source": "map.mrc"}})
    assert of_particles - {*stages_of(recorded)} == {"particle_refinement"}
    assert not of_halves & {*stages_of(recorded)}
    learned = config_from_dict({"particles": {"source": "a.star"}, "training": {"on": "particles"}})
    assert of_halves <= {*stages_of(learned)}
    assert not {"projections", "alignment", "reconstruction"} & {*stages_of(recorded)}
    short = config_from_dict({"distance": {"method": "exact"}, "reconstruction": {"enabled": False}})
    assert stages_of(short) == ("volume", "projections", "distance", "recovery", "alignment")


def write(path: Path, *events: dict[str, object]) -> None:
    with (path / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def test_a_feed_reads_on_where_it_was(tmp_path):
    feed = live.RunFeed(tmp_path, Config())
    feed.advance()
    assert feed.finished_stages == 1  # the volume
    write(
        tmp_path,
        {"time": 10.0, "kind": "log", "stage": None, "message": "volume <b>1bd2</b>"},
        {"time": 10.0, "kind": "stage_started", "stage": "projections"},
        {"time": 10.1, "kind": "stage_reused", "stage": "projections"},
        {"time": 10.1, "kind": "stage_ended", "stage": "projections", "seconds": 0.1, "peak_memory_mb": 1.0},
        {"time": 20.0, "kind": "stage_started", "stage": "training"},
        {"time": 25.0, "kind": "training", "stage": "training", "values": {"step": 10, "loss": 1.5}},
        {"time": 25.0, "kind": "progress", "stage": "training", "fraction": 0.25, "values": {"step": 10, "loss": 1.5}},
    )
    feed.advance()
    training = feed.stages["training"]
    assert feed.stages["projections"].state == "reused"
    assert (training.state, training.fraction, training.values["step"]) == ("running", 0.25, 10)
    assert training.seconds_left(now=25.0) == pytest.approx(15.0)  # a quarter took 5 s
    assert training.seconds_left(now=27.0) == pytest.approx(13.0)
    assert training.seconds_left(now=99.0) == 0.0
    write(
        tmp_path,
        {
            "time": 30.0,
            "kind": "training",
            "stage": "training",
            "values": {"step": 20, "loss": 1.0, "validation_mae": 0.2},
        },
        {"time": 40.0, "kind": "stage_failed", "stage": "training", "seconds": 20.0, "peak_memory_mb": 1.0},
    )
    feed.advance()
    assert feed.curve == [(10, 1.5, None), (20, 1.0, 0.2)]
    assert training.state == "failed"
    assert training.seconds_left(now=40.0) is None
    assert [line[10:] for line in feed.lines] == [
        "volume <b>1bd2</b>", "projections: reused from an earlier run", "projections: done in 0.1 s",
        "training: stopped after 20.0 s",
    ]  # fmt: skip
    assert feed.finished_stages == 2


def test_the_time_left_is_of_the_stage_that_runs_and_of_those_that_wait(tmp_path):
    config = config_from_dict({"reconstruction": {"enabled": False}})
    expected = {"training": 100.0, "distance": 1.0, "recovery": 7.0, "alignment": 0.5, "reconstruction": 50.0}
    feed = live.RunFeed(tmp_path, config)
    assert feed.seconds_left(expected, 0.0) is None
    write(tmp_path, {"time": 10.0, "kind": "stage_started", "stage": "training"})
    feed.advance()
    assert feed.seconds_left(expected, 11.0) is None  # too early to say
    write(tmp_path, {"time": 20.0, "kind": "progress", "stage": "training", "fraction": 0.25, "values": {}})
    feed.advance()
    assert feed.seconds_left(expected, 22.0) == pytest.approx(28.0 + 8.5)
    write(tmp_path, {"time": 50.0, "kind": "stage_ended", "stage": "training", "seconds": 40.0})
    feed.advance()
    assert feed.seconds_left(expected, 51.0) is None
