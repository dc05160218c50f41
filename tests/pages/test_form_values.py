"""Configurations to the form's widgets and to addresses, and back; what the form's plan would run."""

from __future__ import annotations

import math
import random
import shlex
import tomllib

import pytest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_toml, load_config
from engine.experiment.sweep import Sweep, changed, expand, load_sweep
from pages._experiment import form, form_values, plan
from pages._experiment.form_values import SETTINGS, from_address, read_values, shown_values, to_address, widget_values
from pages._shared import text

SEED, COVERAGE, SNR = SETTINGS["seed"], SETTINGS["projections.coverage"], SETTINGS["projections.snr"]
DEFOCUS = SETTINGS["projections.defocus"]
OTHER = {
    "seed": 2**53,
    "volume": {"source": '/maps/it\'s "mine" & yours=1.mrc', "voxel_size": 1.5},
    "projections": {"coverage": [[0, 90], [10, 45.5], [-180, 180]], "snr": 0.1, "sampling": "euler", "max_shift": 2.5},
    "recovery": {"max_distance": 1.5, "pairs": "knn+random"},
    "reconstruction": {"enabled": False},
}


@pytest.mark.parametrize("table", [{}, OTHER, {"projections": {"noise_variance": 0}}])
def test_an_address_describes_the_same_experiment(table):
    config = config_from_dict(table)
    vary = {"projections.coverage": ["full", [[0, 90], [0, 45], [0, 360]]], "projections.size": [None, 64]}
    address = to_address(config, vary)
    assert from_address(address.get("set", []), address["vary"]) == (config, vary)


NUMBERS = [key for key, setting in SETTINGS.items() if setting.kind in form_values.NUMERIC]


@pytest.mark.parametrize("key", NUMBERS)
def test_an_address_a_file_and_a_form_keep_every_digit(key):
    """Of numbers anywhere in the range of the key, alone and among the values of a sweep."""
    setting, rng = SETTINGS[key], random.Random(key)
    least, most = max(setting.minimum, 1e-30), setting.maximum
    numbers = [setting.minimum, most]
    for _ in range(20):
        number = math.exp(rng.uniform(math.log(least), math.log(most)))
        numbers.append(
            rng.randint(setting.minimum, most) if setting.kind == "integer" else min(max(number, least), most)
        )
    fitting = {"training.projections": 1_000_000, "training.batch_size": 4, "pairs.neighbours": 1}
    if key in form_values.without_meaning(form_values.SIMULATED):
        fitting |= {"particles.source": "/data/particles.star", "volume.source": "/data/map.mrc"}
    for number in numbers:
        config = config_from_dict(form.nested(fitting | {key: number}))
        assert text.flat(config.model_dump())[key] == number
        assert from_address(to_address(config, {})["set"], [])[0] == config
        assert config_from_dict(tomllib.loads(config_to_toml(config))) == config
        assert widget_values(config, {}, [])[key] in (number, str(number))
    assert read_values(setting, shown_values(setting, numbers)) == list(dict.fromkeys(numbers))
    _, varied = from_address([], to_address(Config(), {key: numbers})["vary"])
    assert varied == {key: list(dict.fromkeys(numbers))}


def test_a_seed_that_a_browser_rounds_is_held_as_text():
    seed = 2**53 + 1
    config = config_from_dict({"seed": seed})
    held = widget_values(config, {}, [])["seed"]
    assert held == "9007199254740993"
    assert form_values.read_typed(held, SEED) == seed
    assert [key for key in NUMBERS if SETTINGS[key].typed] == ["seed"]
    assert [form_values.read_typed(typed, SEED) for typed in ("  ", " 5 ", "5e3")] == [None, 5, "5e3"]
    assert tomllib.loads(plan.plan({"seed": seed}, {}, "").toml)["seed"] == seed
    assert "--set seed=9007199254740993" in plan.plan({"seed": seed}, {}, "").command_line


@pytest.mark.parametrize(
    ("value", "typed"), [(15_000.0, "15000"), ((8_000.0, 30_000.5), "[8000, 30000.5]"), (-0.1, "-0.1"), (None, None)]
)
def test_a_defocus_is_one_value_or_an_interval(value, typed):
    config = config_from_dict({"projections": {} if value is None else {"defocus": value}})
    assert widget_values(config, {}, [])[DEFOCUS.key] == typed
    read = form_values.read_typed(typed, DEFOCUS)
    assert config_from_dict(form.nested({} if read is None else {DEFOCUS.key: read})) == config
    assert from_address(to_address(config, {}).get("set", []), [])[0] == config
    assert form_values.read_typed("1 to 2", DEFOCUS) == "1 to 2", "left for the configuration to refuse"


def test_values_of_a_defocus_in_a_sweep():
    values = [None, 10_000, [8_000, 30_000.5]]
    assert read_values(DEFOCUS, shown_values(DEFOCUS, values)) == values
    assert shown_values(DEFOCUS, values) == ["none", "10000", "[8000, 30000.5]"]
    vary = {DEFOCUS.key: values}
    assert from_address([], to_address(Config(), vary)["vary"]) == (Config(), vary)
    with pytest.raises(InputError, match=r"^sweep over projections\.defocus: .*; wanted values that this key"):
        form_values.normal({DEFOCUS.key: [True]})


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("seed", [2.0**53 + 2]), ("seed", [True]), ("seed", [[1]]), ("seed", ["5"]), ("distance.method", [5]),
        ("distance.method", [{"a": 1}]), ("reconstruction.enabled", [1]), ("volume.source", [["x"]]),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_no_sweep(key, values):
    with pytest.raises(InputError, match=rf"^sweep over {key}: .*; wanted values that this key can have$"):
        form_values.normal({key: values})


@pytest.mark.parametrize(
    ("sets", "varies", "message"),
    [
        (["seed=1", " seed =2"], [], "'seed' is given 2 times; wanted once"),
        ([], ["seed=[1]", "seed=[2]", "seed=[3]"], "'seed' is given 3 times; wanted once"),
        (["seed=" + "9" * 5000], [], "seed is '999"),
        (["seed=nan"], [], "seed is nan; wanted a whole number from 0"),
        (["seed="], [], "seed is ''; wanted a whole number"),
        ([""], [], "--set ''; wanted|--set '': wanted section.key=value"),
        (["projections.snr=1e999"], [], "projections.snr is inf; wanted a number from 1e-14"),
        (["projections.snr=[1]"], [], r"projections.snr is \[1\]; wanted"),
        (["seed=1\nvolume.source='x'"], [], r"seed is .1.nvolume"),
        ([], ["seed=[" + "9" * 5000 + "]"], "a number has more than 4,300 digits"),
        ([], ["seed=[0x" + "f" * 5000 + "]"], "sweep over seed|run|seed is"),
    ],
)  # fmt: skip
def test_an_address_of_odd_values_is_refused_in_a_line(sets, varies, message):
    def planned():
        config, vary = from_address(sets, varies)
        return plan.plan(config.model_dump(), vary, "")

    with pytest.raises(InputError, match=message) as caught:
        planned()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_the_default_needs_no_address():
    assert to_address(Config(), {}) == {}


@pytest.mark.parametrize(
    ("setting", "text", "values"),
    [
        (SEED, "0, 1 2;3", [0, 1, 2, 3]),
        (SEED, "0:4", [0, 1, 2, 3, 4]),
        (SEED, "0:10:5, 7", [0, 5, 10, 7]),
        (SEED, "3,3", [3]),
        (SEED, "", []),
        (SNR, "none 0.1", [None, 0.1]),
        (SNR, "0:0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        (SNR, "1e-3", [0.001]),
        (SEED, "9007199254740993, 9223372036854775807", [2**53 + 1, 2**63 - 1]),
        (SEED, "9007199254740993:9007199254740999:3", [2**53 + 1, 2**53 + 4, 2**53 + 7]),
        (SNR, "0:3e-14:1e-14", [0.0, 1e-14, 2e-14, 3e-14]),
        (SNR, "0.30000000000000004 1e-30", [0.1 + 0.2, 1e-30]),
    ],
)
def test_lists_of_numbers(setting, text, values):
    assert read_values(setting, text) == values
    assert read_values(setting, shown_values(setting, values)) == values


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (SEED, "1.5"),
        (SEED, "none"),
        (SEED, "x"),
        (SEED, "5:0"),
        (SEED, "0:5:-1"),
        (SNR, "1:2:0"),
        (SNR, "0:1e9"),
        (SEED, "1e300:2"),
        (SNR, "nan:1"),
        (SNR, "0:inf"),
        (SNR, "0:1:1e-999999999"),
        (SNR, "a:b:c"),
        (SEED, "9:9:0"),
    ],
)
def test_what_is_no_list_of_numbers_is_reported(setting, text):
    with pytest.raises(InputError, match=rf"sweep over {setting.key}: '{text}'; wanted (whole )?numbers such as"):
        read_values(setting, text)


def test_too_many_values_are_reported():
    with pytest.raises(InputError, match=r"sweep over seed: 1,100 values; wanted at most 1,000"):
        read_values(SEED, "0:549, 600:1149")


def test_choices_and_regions():
    region = [[0.0, 90.0], [0.0, 45.0], [0.0, 360.0]]
    shown = shown_values(COVERAGE, ["half", region])
    assert shown == ["half", "[[0.0, 90.0], [0.0, 45.0], [0.0, 360.0]]"]
    assert read_values(COVERAGE, shown) == ["half", region]
    assert read_values(SETTINGS["distance.head"], ["cosine", "cosine"]) == ["cosine"]


@pytest.mark.parametrize(
    ("source", "files", "chosen"),
    [
        ("6MSM", [], ("6msm", None, "")),
        ("/a/b.mrc", ["/a/b.mrc"], ("file", "/a/b.mrc", "")),
        ("/a/b.mrc", [], ("other", None, "/a/b.mrc")),
        ("emdb:3400", ["/a/b.mrc"], ("other", None, "emdb:3400")),
    ],
)
def test_where_a_protein_is_chosen(source, files, chosen):
    values = widget_values(config_from_dict({"volume": {"source": source}}), {}, files)
    assert (values["protein"], values["file"], values["source"]) == chosen


def test_every_key_has_a_widget():
    values = widget_values(config_from_dict(OTHER), {"seed": [1, 2]}, [])
    one_widget = set(SETTINGS) - {"volume.source", "projections.coverage"}
    assert one_widget < set(values)
    assert values["coverage"] == form_values.OWN
    assert (values["tilt from"], values["tilt to"]) == (10.0, 45.5)
    assert (values["noise"], values["projections.snr"]) == ("SNR", 0.1)
    assert (values["sweep"], values["varied"], values["seed values"]) == (True, ["seed"], "1, 2")


def test_a_plan_for_one_run():
    planned = plan.plan({"seed": 3}, {}, "mine")
    assert planned.runs == [("mine", Config(seed=3))]
    assert planned.new_sweep_id() is None
    assert planned.command_line == "python -m engine run \\\n  --set seed=3"
    assert planned.toml.startswith("seed = 3\n")


def test_a_plan_for_a_sweep_is_what_the_command_line_and_the_file_say(tmp_path):
    vary = {"projections.coverage": ["full", "half"], "projections.snr": [None, 0.1]}
    planned = plan.plan({"distance": {"method": "exact"}}, vary, "my sweep")
    assert [(c.projections.coverage, c.projections.snr) for c in planned.configs] == [
        ("full", None), ("full", 0.1), ("half", None), ("half", 0.1),
    ]  # fmt: skip
    assert {config.distance.method for config in planned.configs} == {"exact"}
    assert planned.new_sweep_id().startswith("my-sweep-")
    words = shlex.split(planned.command_line.replace("\\\n", " "))
    assert words[:4] == ["python", "-m", "engine", "sweep"]
    options = list(zip(words[4::2], words[5::2], strict=True))
    sets, varies = ([text for option, text in options if option == name] for name in ("--set", "--vary"))
    assert [config for _, config in expand(changed(Sweep("sweep"), sets, varies))] == planned.configs
    (tmp_path / "sweep.toml").write_text(planned.toml)
    assert [config for _, config in expand(load_sweep(tmp_path / "sweep.toml"))] == planned.configs


def test_what_is_varied_is_not_set_beside_it():
    planned = plan.plan({"projections": {"count": 99}}, {"projections.count": [10, 20]}, "")
    assert [config.projections.count for config in planned.configs] == [10, 20]


def test_the_form_holds_the_volumes_as_one_text():
    several = config_from_dict({"training": {"volumes": ["random:1:10", "6msm"]}})
    assert widget_values(several, {}, [])["training.volumes"] == "random:1:10, 6msm"
    assert (SETTINGS["training.volumes"].kind, SETTINGS["training.volumes"].default) == ("text", "")
    asked = to_address(several, {"seed": [1, 2]})
    assert asked["set"] == ['training.volumes=["random:1:10", "6msm"]']
    assert from_address(asked["set"], asked["vary"]) == (several, {"seed": [1, 2]})
    assert config_from_dict({"training": {"volumes": widget_values(several, {}, [])["training.volumes"]}}) == several
    assert load_config(None, text.overrides(several)) == several


def test_the_form_varies_them_as_texts():
    setting, values = SETTINGS["training.volumes"], [["random:1:1"], "random:1:10", ["1tii", "6msm"]]
    shown = shown_values(setting, values)
    assert shown == ["random:1:1", "random:1:10", "1tii, 6msm"]
    assert read_values(setting, shown) == shown
