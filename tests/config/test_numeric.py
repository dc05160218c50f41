from __future__ import annotations

import mrcfile
import numpy as np
import pytest

from engine.base.errors import InputError
from engine.config.numeric import acquisition_of, volume_of
from engine.config.projections import ProjectionsConfig
from engine.config.schema import VolumeConfig
from engine.imaging.simulation import Acquisition


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"source": "1bd3"}, r"^volume\.source is '1bd3', neither a built-in protein nor a file"),
        ({"source": "emdb:1"}, r"^volume\.source is 'emdb:1'; wanted an id such as emdb:3400"),
        ({"source": "random:x"}, r"^volume\.source is 'random:x'; wanted one random protein"),
        (
            {"source": "1bd2", "resolution": 10, "voxel_size": 7},
            r"^volume\.voxel_size is 7 Å at volume\.resolution 10 Å; wanted between",
        ),
    ],
)
def test_what_gives_no_volume_is_said_with_the_configurations_keys(settings, wanted):
    with pytest.raises(InputError, match=wanted):
        volume_of(VolumeConfig(**settings))


def test_a_volume_called_a_stack_is_refused_with_the_key_that_says_otherwise(tmp_path, toy_density):
    path = tmp_path / "x.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(toy_density)
        mrc.voxel_size = 2.5
        mrc.header.ispg, mrc.header.mz, mrc.header.cella.z = 0, 1, 2.5
    with pytest.raises(InputError, match=r"x\.mrc is a stack of 24 images .*, turn on volume\.stack_is_volume$"):
        volume_of(VolumeConfig(source=str(path)))
    volume = volume_of(VolumeConfig(source=str(path), stack_is_volume=True))
    np.testing.assert_array_equal(volume.density, toy_density)


def test_every_setting_of_the_projections_but_their_number_is_part_of_the_acquisition():
    settings = ProjectionsConfig(
        count=7, size=30, coverage=((0, 90), (0, 80), (10, 20)), sampling="euler", noise_variance=2.0, max_shift=3.0
    )
    acquisition = acquisition_of(settings)
    of_generated_stacks = {"defocus_groups", "shift_distribution"}  # which no experiment sets
    assert set(vars(acquisition)) - of_generated_stacks == set(ProjectionsConfig.model_fields) - {"count"}
    for name in vars(acquisition).keys() - of_generated_stacks:
        assert getattr(acquisition, name) == getattr(settings, name)
    assert acquisition_of(ProjectionsConfig()) == Acquisition()
