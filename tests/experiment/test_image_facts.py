"""What differs between the images that a network was trained on and others, in words."""

from __future__ import annotations

import pytest

from engine.experiment.image_facts import differences
from engine.record.network import ImagesFile

TRAINED = ImagesFile(
    volume="map.mrc", density="a", pixel_size=2.0, size=96, has_ctf=True, defocus=(8000, 30000), voltage=(300, 300),
    spherical_aberration=(2.7, 2.7), amplitude_contrast=(0.1, 0.1), snr=0.1, spectrum="measured", colour=3.0,
    max_shift=6.0, coverage="full", sampling="so3", phase_flip=True, whiten=True,
)  # fmt: skip


def lines(trained=TRAINED, **changes) -> list[tuple[str, bool]]:
    return [(one.line, one.doubtful) for one in differences(trained, TRAINED.model_copy(update=changes), 48)]


def test_images_like_those_of_the_training_have_no_difference():
    assert lines() == []
    assert lines(snr=0.11, colour=3.3, defocus=(8050.0, 29_900.0)) == [], "as well as it is measured"
    assert lines(volume="moved/map.mrc") == [], "the same density under another name"


@pytest.mark.parametrize(
    ("changes", "line", "doubtful"),
    [
        ({"volume": "other.mrc", "density": "b"}, "reference: # projections of map.mrc, @ other.mrc", True),
        (
            {"density": "b"},
            "reference: # another density of map.mrc than it is now, @ the present one", True,
        ),
        (
            {"density": "b", "pixel_size": 3.0, "size": 64},
            "pixel size: # 96 px of 2 Å (4 Å for the network), @ 64 px of 3 Å (4 Å for the network)", False,
        ),
        (
            {"density": "b", "pixel_size": 2.5},
            "pixel size: # 96 px of 2 Å (4 Å for the network), @ 96 px of 2.5 Å (5 Å for the network)", True,
        ),
        ({"has_ctf": False, "defocus": None}, "CTF: # a CTF, @ no CTF", True),
        ({"defocus": (12_000, 20_000)}, "defocus: # 8,000 to 30,000 Å, @ 12,000 to 20,000 Å", False),
        ({"defocus": (5000, 20_000)}, "defocus: # 8,000 to 30,000 Å, @ 5,000 to 20,000 Å", True),
        ({"voltage": (200, 200)}, "voltage: # 300 kV, @ 200 kV", True),
        ({"spherical_aberration": (0.01, 0.01)}, "spherical aberration: # 2.7 mm, @ 0.01 mm", True),
        ({"amplitude_contrast": (0.07, 0.07)}, "amplitude contrast: # 0.1, @ 0.07", True),
        (
            {"snr": 0.05}, "noise: # a signal-to-noise ratio of 0.1, @ a signal-to-noise ratio of 0.05", True,
        ),
        ({"snr": None, "spectrum": "none"}, "noise: # a signal-to-noise ratio of 0.1, @ no noise", True),
        (
            {"colour": 1.0, "spectrum": "white"},
            "noise spectrum: # a measured spectrum (3 times as strong at low frequencies as at high), @ white noise (1 "
            "times as strong at low frequencies as at high)", True,
        ),
        ({"max_shift": 12.0}, "shifts: # shifts of up to 6 Å, @ shifts of up to 12 Å", True),
        ({"max_shift": 3.0}, "shifts: # shifts of up to 6 Å, @ shifts of up to 3 Å", False),
        (
            {"coverage": "half"},
            "viewing directions: # full coverage, so3 sampling, @ half coverage, so3 sampling", False,
        ),
        ({"phase_flip": False}, "phase flip: # phases that are flipped, @ phases as recorded", True),
        ({"whiten": False}, "whitening: # noise that is whitened, @ noise as it is", True),
    ],
)  # fmt: skip
def test_each_difference_is_a_line(changes, line, doubtful):
    words = line.replace("#", "the network was trained on").replace("@", "these images have")
    assert lines(**changes) == [(words, doubtful)]


def test_views_that_were_not_trained_for_are_doubtful():
    half = TRAINED.model_copy(update={"coverage": "half"})
    ((_, doubtful),) = lines(half)
    assert doubtful
    assert lines(coverage=None, sampling=None) == [], "of recorded particles they are not known"
    ((line, doubtful),) = lines(half, coverage=None, sampling=None)
    assert line.endswith("these images have directions that are not known")
    assert doubtful


def test_what_an_earlier_version_did_not_keep_is_said():
    earlier = ImagesFile(volume="map.mrc")
    assert lines(earlier) == [
        ("pixel size, CTF, noise, shifts: not compared, its run is of a version that did not keep them", True)
    ]
