"""Particles refined against their own reconstruction: better poses, and no agreement of half maps that is not there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.base.progress import silent
from engine.base.randomness import stream
from engine.experiment.stack_input import map_for, read_stack
from engine.experiment.stage import Context
from engine.experiment.stages.frame import PosesInFrame
from engine.experiment.stages.particle_reconstruction import reconstructed_particles
from engine.experiment.stages.particle_refinement import ParticleRefinementStage
from engine.experiment.stages.particles import ParticlesStage
from engine.geometry.rotations import geodesic_distance, to_quaternion
from engine.imaging.fsc import fourier_shell_correlation
from engine.io import mrc
from tests.particle_testing import PIXEL, make_stack, on_stack

COUNT = 300


def context_of(source, **tables) -> Context:
    """What the refinement of this stack is given, without a map; poses are those of the table."""
    training = {"on": "reconstruction", "batch_size": 8, "image_size": 16}
    config = on_stack(source, **{"volume": {}, "training": training, "refinement": {"enabled": True}} | tables)
    stack = read_stack(config)
    start = Context(
        config, map_for(stack, config.volume)[0], None, lambda purpose: stream(0, purpose), SimpleNamespace(),
        stack=stack,
    )  # fmt: skip
    start.results["particles"] = ParticlesStage().run(start, silent)
    return start


def started(context, poses) -> Context:
    """With these poses, and what they give."""
    count = len(poses)
    context.results["frame"] = PosesInFrame(
        poses, np.zeros((count, 2)), np.full(count, 0.5), np.zeros(4), np.arange(count)
    )
    context.results["particle_reconstruction"] = reconstructed_particles(context, context["frame"])
    return context


def agreement(maps) -> np.ndarray:
    return fourier_shell_correlation(maps.half1, maps.half2, PIXEL)[1]


def errors(context, poses) -> np.ndarray:
    return geodesic_distance(to_quaternion(poses), to_quaternion(context.stack.reference_poses))


@pytest.mark.slow
def test_poses_and_maps_become_better_without_any_map(tmp_path, toy_density, rng):
    context = context_of(make_stack(tmp_path, toy_density, count=COUNT))
    truth = context.stack.reference_poses
    turns = Rotation.from_rotvec(0.1 * rng.standard_normal((COUNT, 3))).as_matrix()
    started(context, truth @ turns)
    refined = ParticleRefinementStage().run(context, silent)
    before, after = errors(context, context["frame"].poses), errors(context, refined.poses.poses)
    assert np.median(after) < 0.6 * np.median(before)
    true_map = mrc.read_map(tmp_path / "map.mrc")[0]
    first, last = (
        fourier_shell_correlation(maps.density, true_map, PIXEL)[1]
        for maps in (context["particle_reconstruction"], refined.maps)
    )
    assert last.mean() > first.mean() + 0.03
    trust = refined.poses.confidence
    assert np.median(after[trust > np.median(trust)]) < np.median(after)


@pytest.mark.slow
def test_half_maps_of_noise_do_not_agree(tmp_path, toy_density, rng):
    source = make_stack(tmp_path, toy_density, count=COUNT)
    mrc.write_stack(tmp_path / "stack.mrcs", rng.standard_normal((COUNT, 24, 24)).astype(np.float32), PIXEL)
    context = context_of(source, particles={"source": str(source), "contrast": "keep", "max_shift": 2.0})
    started(context, context.stack.reference_poses)
    refined = ParticleRefinementStage().run(context, silent)
    assert agreement(refined.maps).mean() < 0.1, "0.23 where all are matched with one unfiltered map"
