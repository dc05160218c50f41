from __future__ import annotations

import tomllib

import pytest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import (
    config_from_dict,
    config_to_toml,
    known_keys,
    load_config,
    projections_that_matter,
    training_that_matters,
    with_whole_paths,
)

FIXED_KEYS = {
    "seed",
    "volume.source",
    "volume.resolution",
    "volume.voxel_size",
    "projections.count",
    "projections.size",
    "projections.coverage",
    "projections.sampling",
    "projections.noise_variance",
    "projections.snr",
    "projections.max_shift",
    "distance.method",
    "distance.perturbation_variance",
    "distance.calibration",
    "distance.head",
    "distance.feature_dim",
    "pairs.strategy",
    "pairs.neighbours",
    "training.projections",
    "training.max_seconds",
    "recovery.restarts",
    "recovery.max_distance",
    "reconstruction.enabled",
    "device",
    "projections.projector",
    "reconstruction.method",
}


def test_the_keys_that_others_rely_on_exist():
    assert set(known_keys()) >= FIXED_KEYS


def test_nothing_given_is_the_default_experiment():
    config = load_config()
    assert config == Config()
    assert (config.volume.source, config.projections.count) == ("1bd2", 1000)
    assert (config.training.max_seconds, config.reconstruction.iterations) == (None, None), "no clock, no number"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["projections.coverage=[[0, 90], [10, 60], [0, 360]]", "projections.snr=0.1"],
        ["volume.source=emdb:3400", "recovery.max_distance=1.5", "seed=7", "reconstruction.enabled=false"],
    ],
)
def test_toml_reads_back_equal(overrides, tmp_path):
    config = load_config(None, overrides)
    (tmp_path / "c.toml").write_text(config_to_toml(config))
    assert load_config(tmp_path / "c.toml") == config
    assert config_from_dict(tomllib.loads(config_to_toml(config))) == config


def test_overrides_win_over_the_file(tmp_path):
    (tmp_path / "c.toml").write_text("[projections]\ncount = 50\nmax_shift = 3.0\n")
    config = load_config(tmp_path / "c.toml", ["projections.count=60"])
    assert (config.projections.count, config.projections.max_shift) == (60, 3.0)


def test_it_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Config().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "projections.count=3",
            r"projections.count is 3; wanted a whole number from 4 to 200,000 \(number of .*\): each of the",
        ),
        ("projections.count=many", "projections.count is 'many'; wanted a whole number from 4 to"),
        (
            "projections.noise_variance=-1",
            "projections.noise_variance is -1; wanted a number that is 0 or from 1e-30 to 1e24",
        ),
        ("projections.snr=nan", "projections.snr is nan; wanted a number from 1e-14 to 1e14 .*: NaN is not a number"),
        ("projections.coverage=[[0, 360], [90, 30], [0, 360]]", r"tilt interval \[90, 30\] is empty or reversed"),
        ("projections.coverage=[[0, 0], [0, 30], [0, 360]]", "rot interval .* is empty"),
        ("projections.coverage=most", "projections.coverage is 'most'; wanted 'full', 'half' or 'quarter'"),
        ("projections.coverage=[[0, 1]]", "projections.coverage is .* three intervals"),
        ("recovery.initialisation=tsne", "recovery.initialisation is 'tsne'; wanted 'spectral', 'mds', "),
        ("projections.cuont=5", "unknown key 'projections.cuont'; the nearest known one is 'projections.count'"),
        ("projection.count=5", "the nearest known one is 'projections.count'"),
        ("volume.voxel_size=0", "volume.voxel_size is 0; wanted a number from 0.01 to 500"),
        ("distance.method=guess", "distance.method is 'guess'; wanted 'siamese', 'exact', 'perturbed' or 'euclidean'"),
        ("recovery.max_distance=4", "recovery.max_distance is 4; wanted a number from 1e-6 to 3.14"),
        ("pairs.neighbours=8000", "wanted a whole number from 1 to 1,000"),
        ("training.batch_size=4000", r"training.batch_size is 4000; wanted fewer than training.projections \(3000\)"),
        ("seed=-1", "seed is -1"),
        ("projections.count", "wanted section.key=value"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(override, message):
    with pytest.raises(InputError, match=message) as caught:
        load_config(None, ["training.projections=3000", override])
    assert "\n" not in str(caught.value)


def test_noise_is_given_once():
    with pytest.raises(InputError, match=r"noise_variance and projections\.snr are both given"):
        load_config(None, ["projections.snr=1", "projections.noise_variance=2"])


def test_every_wrong_key_is_named():
    with pytest.raises(InputError, match=r"unknown key 'volume.sorce'.*; projections.count is 1"):
        config_from_dict({"projections": {"count": 1}, "volume": {"sorce": "x"}})


@pytest.mark.parametrize("start", ["mds", "isomap"])
def test_an_embedding_of_a_matrix_that_is_not_held_is_refused(start):
    settings = [f"recovery.initialisation={start}", "projections.count=5001"]
    with pytest.raises(InputError, match=f"initialisation is '{start}' and projections.count is 5001; wanted at most"):
        load_config(None, settings)
    assert load_config(None, [settings[0], "projections.count=5000"]).recovery.initialisation == start
    assert load_config(None, ["recovery.initialisation=random", settings[1]]).projections.count == 5001


def test_a_symmetric_recovery_has_its_own_start():
    with pytest.raises(InputError, match=r"initialisation is 'random' and volume.symmetry is D2; wanted spectral"):
        load_config(None, ["recovery.initialisation=random", "volume.symmetry=d2"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("recovery.pairs=knn", r"recovery.pairs is 'knn' and volume.symmetry is D2; wanted all pairs"),
        ("recovery.max_distance=1.5", r"recovery.max_distance is 1.5 and volume.symmetry is D2; wanted all pairs"),
        ("distance.feature_dim=9", r"distance.feature_dim is 9 and volume.symmetry is D2; leave it out"),
        ("projections.count=5001", r"projections.count is 5001 and volume.symmetry is D2; wanted at most 5000"),
    ],
)
def test_a_symmetric_recovery_needs_all_pairs(setting, message):
    with pytest.raises(InputError, match=message):
        load_config(None, ["volume.symmetry=D2", setting])
    load_config(None, [setting])
    load_config(None, ["volume.symmetry=D2", "projections.count=5000"])


@pytest.mark.parametrize("text", ["[projections\n", "\x00", "count = = 3"])
def test_a_file_that_is_not_toml_is_named(text, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match=r"c.toml is not TOML"):
        load_config(tmp_path / "c.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")


def test_paths_become_whole_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for tables in ({}, {"volume": {"source": "pdb:5j0n"}}, {"training": {"volumes": ["random:1:3", "/a.mrc"]}}):
        config = config_from_dict(tables)
        assert with_whole_paths(config) is config
    relative = {"seed": 3, "volume": {"source": "a.mrc"}, "training": {"volumes": ["random:1", "maps/b.mrc"]}}
    config = with_whole_paths(config_from_dict(relative))
    assert (config.volume.source, config.training.volumes) == (
        f"{tmp_path}/a.mrc",
        ("random:1", f"{tmp_path}/maps/b.mrc"),
    )
    assert config.seed == 3
    relative["training"]["volumes"] = [f"{tmp_path}/a.mrc"]
    with pytest.raises(InputError, match=r"which is among training\.volumes"):
        with_whole_paths(config_from_dict(relative))


def test_training_volumes_are_a_list_or_one_text():
    several = config_from_dict({"training": {"volumes": ["random:1:10", "6msm"]}})
    assert config_from_dict({"training": {"volumes": " random:1:10 ,6msm,"}}) == several
    assert several.training.volumes == ("random:1:10", "6msm")
    assert Config().training.volumes == ()
    assert hash(several) != hash(Config())
    assert 'volumes = [\n    "random:1:10",\n    "6msm",\n]' in config_to_toml(several)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"training": {"volumes": "1BD2, 6msm"}}, "volume.source is '1bd2', which is among training.volumes"),
        (
            {"volume": {"source": "random:5"}, "training": {"volumes": "random:1:9"}},
            "volume.source is 'random:5', which is among training.volumes; wanted a protein that the network is not",
        ),
        ({"training": {"volumes": "random:1:0"}}, "wanted random:SEED or random:SEED:COUNT"),
        (
            {"training": {"volumes": "random:1:200"}},
            r"training.batch_size is 64, and training.projections \(8,000\) are 40 of each of 200 training.volumes",
        ),
        (
            {"training": {"volumes": "random:1:100"}, "pairs": {"neighbours": 80}},
            r"pairs.neighbours is 80, and training.projections \(8,000\) are 80 of each of 100",
        ),
        (
            {"training": {"volumes": "random:1:2"}, "volume": {"symmetry": "C2"}},
            "volume.symmetry is C2 and training.volumes are not known to have it",
        ),
        ({"training": {"volumes": 3}}, "training.volumes is 3; wanted a list"),
        ({"training": {"patience": 0}}, "training.patience is 0; wanted a whole number from 1 to 100"),
    ],
)
def test_what_no_training_can_have_is_refused(table, message):
    with pytest.raises(InputError, match=message) as error:
        config_from_dict(table)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["projections.defocus=1e4"], "projections.defocus"),
        (["projections.noise_spectrum=coloured"], "projections.noise_spectrum"),
        (["particles.source=a.star", "volume.source=a.mrc"], "particles.source"),
    ],
)
def test_astras_reconstruction_knows_of_no_ctf(settings, key):
    with pytest.raises(InputError, match=f"reconstruction.method is 'cgls' and {key} is given; wanted normal_equat"):
        load_config(None, ["reconstruction.method=cgls", *settings])
    load_config(None, ["reconstruction.method=cgls", "reconstruction.enabled=false", *settings])


def test_without_a_map_nothing_is_refined_against_it():
    settings = ["particles.source=a.star", "training.on=particles", "refinement.enabled=true"]
    with pytest.raises(
        InputError, match=r"refinement\.reference is 'volume' and volume\.source is not given; wanted a"
    ):
        load_config(None, [*settings, "refinement.reference=volume"])
    load_config(None, [*settings, "refinement.reference=reconstruction"])


@pytest.mark.parametrize(
    ("given", "defocus"), [("15000", 15_000.0), ("[8000, 30000]", (8_000.0, 30_000.0)), ("-500.5", -500.5)]
)
def test_a_defocus_is_one_value_or_a_range(given, defocus):
    config = load_config(None, [f"projections.defocus={given}"])
    assert config.projections.defocus == defocus
    assert config_from_dict(tomllib.loads(config_to_toml(config))) == config
    assert hash(config) != hash(Config())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("defocus=[30000, 8000]", r"projections.defocus is \[30000, 8000\]; wanted the lower end first"),
        ("defocus=[8000, 1e9]", r"projections.defocus is .*; wanted a number from -100000 to 100000 .*: so far under"),
        ("defocus=[true, 8000]", r"projections.defocus is .*; wanted a number .*: true and false are no numbers"),
        ("defocus=[8000]", r"projections.defocus is \[8000\]; wanted a number from .* one value or \[low, high\]"),
        ("voltage=300000", r"projections.voltage is 300000; wanted a number from 10 to 3000 \(kV; of the CTF\)"),
        ("noise_spectrum=pink", "projections.noise_spectrum is 'pink'; wanted 'white' or 'coloured'"),
    ],
)
def test_a_microscope_that_cannot_be_is_refused(setting, message):
    with pytest.raises(InputError, match=message) as caught:
        load_config(None, [f"projections.{setting}"])
    assert "\n" not in str(caught.value)


def test_a_ctf_that_is_zero_everywhere_is_refused():
    zero = ["projections.defocus=0", "projections.spherical_aberration=0", "projections.amplitude_contrast=0"]
    with pytest.raises(InputError, match=r"^projections.defocus, projections.spherical_aberration and .* are all 0"):
        load_config(None, zero)
    load_config(None, zero[1:])


def test_what_changes_nothing_is_not_among_the_settings_that_matter():
    """So that a configuration without CTF and coloured noise has the keys of the cache that it always had."""
    before = {"count", "coverage", "sampling", "max_shift", "projector"}
    idle = ["projections.voltage=200", "projections.noise_spectrum=coloured"]
    assert projections_that_matter(Config()).keys() == before
    assert projections_that_matter(load_config(None, idle)) == projections_that_matter(Config())
    told = projections_that_matter(load_config(None, [*idle, "projections.snr=1", "projections.defocus=1e4"]))
    assert told.keys() - before == {
        "snr", "defocus", "voltage", "spherical_aberration", "amplitude_contrast", "noise_spectrum",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"training": {"reference_missing": 0.1, "volumes": ["6msm"]}},
            r"^training\.reference_missing is 0\.1 and training\.volumes is given; wanted the part of one protein",
        ),
        (
            {"training": {"reference_missing": 0.1}, "volume": {"symmetry": "D2"}},
            r"^training\.reference_missing is 0\.1 and volume\.symmetry is given; wanted the part of one protein",
        ),
        (
            {
                "training": {"noise_factor": 2}, "particles": {"source": "/a.star"}, "volume": {"source": "/a.mrc"},
            },
            r"^training\.noise_factor is given beside particles\.source; wanted it with simulated projections alone",
        ),
        (
            {
                "projections": {
                    "defocus": -500, "defocus_error": 500, "spherical_aberration": 0, "amplitude_contrast": 0,
                },
            },
            r"^projections\.defocus, .* are all 0",
        ),
        ({"training": {"noise_factor": 0}}, r"^training\.noise_factor is 0; wanted a number from 1e-6 to 1e6"),
        ({"training": {"reference_missing": 1}}, r"^training\.reference_missing is 1; wanted a number from 0 to 0\.9"),
    ],
)  # fmt: skip
def test_a_mismatch_is_one_of_simulated_projections_of_one_protein(tables, message):
    with pytest.raises(InputError, match=message):
        config_from_dict(tables)


def test_errors_that_are_not_made_leave_the_tables_of_the_keys_as_they_were():
    plain = projections_that_matter(Config()), training_that_matters(Config())
    assert "defocus_error" not in plain[0]
    assert not {"model", "noise_factor", "reference_missing"} & plain[1].keys()
    off = config_from_dict({
        "projections": {"defocus": 9000, "defocus_error": 500},
        "training": {"noise_factor": 2, "reference_missing": 0.1},
    })  # fmt: skip
    assert projections_that_matter(off)["defocus_error"] == 500
    assert training_that_matters(off) == plain[1] | {"noise_factor": 2, "reference_missing": 0.1}
    assert projections_that_matter(config_from_dict({"projections": {"defocus_error": 500}})) == plain[0]
