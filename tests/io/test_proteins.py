"""Random proteins: chains as real ones have them, no clashes, compact, always the same; and their densities."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree

from engine.base.errors import InputError
from engine.imaging import shape
from engine.io import proteins
from engine.io.loading import load_volume

SEEDS = (0, 1, 2, 3, 6)


@pytest.fixture(scope="module", params=SEEDS)
def protein(request):
    return proteins.random_protein(request.param)


def chains_of(seeds):
    proteins_by_seed = [proteins.random_protein(seed) for seed in seeds]
    return [protein.residues[begin:end] for protein in proteins_by_seed for begin, end in pairwise(protein.chains)]


def bonded(protein):
    return {(i, i + 1) for begin, end in pairwise(protein.chains) for i in range(begin, end - 1)}


def test_residues_of_a_chain_are_a_bond_apart(protein):
    for begin, end in pairwise(protein.chains):
        lengths = np.linalg.norm(np.diff(protein.residues[begin:end], axis=0), axis=1)
        np.testing.assert_allclose(lengths, 3.8, atol=1e-9)
    assert 200 <= len(protein.residues) <= 1200
    assert 1 <= len(protein.chains) - 1 <= 5
    assert min(end - begin for begin, end in pairwise(protein.chains)) >= 60


def test_no_two_residues_clash(protein):
    close = cKDTree(protein.residues).query_pairs(4.0 - 1e-9)
    assert close == bonded(protein), "nearer than 4 Å are bonded residues, and nothing else"


def test_bonds_bend_as_in_real_traces(protein):
    """Between 80 degrees (more would clash) and 150 (a chain is never straight)."""
    for begin, end in pairwise(protein.chains):
        steps = np.diff(protein.residues[begin:end], axis=0) / 3.8
        angles = np.degrees(np.pi - np.arccos(np.clip((steps[1:] * steps[:-1]).sum(axis=1), -1, 1)))
        assert (angles[1:] > 80 - 1e-6).all()
        assert (angles[1:] < 150 + 1e-6).all()


@pytest.mark.slow
def test_helices_are_right_handed_and_rise_one_and_a_half_angstrom_a_residue():
    """i to i + 3 is 5.0 Å in an alpha helix, where the torsion is +50 degrees (-50 in its mirror image)."""
    torsions, reach = [], []
    for chain in chains_of(SEEDS):
        steps = np.diff(chain, axis=0)
        normals = np.cross(steps[:-1], steps[1:])
        sines = (np.cross(normals[:-1], normals[1:]) * steps[1:-1] / 3.8).sum(axis=1)
        torsions.append(np.degrees(np.arctan2(sines, (normals[:-1] * normals[1:]).sum(axis=1))))
        reach.append(np.linalg.norm(chain[3:] - chain[:-3], axis=1))
    torsion = np.concatenate(torsions)
    right, left = np.abs(torsion - 50) < 12, np.abs(torsion + 50) < 12
    assert right.mean() > 0.2
    assert right.mean() > 4 * left.mean()
    assert np.median(np.concatenate(reach)[right]) == pytest.approx(5.1, abs=0.3)


def test_atoms_are_those_of_residues(protein):
    assert len(protein.atoms) / len(protein.residues) == pytest.approx(7.8, abs=0.4)
    assert protein.elements.count("N") == protein.elements.count("O") == len(protein.residues)
    distances, _ = cKDTree(protein.residues).query(protein.atoms)
    assert distances.max() < 1.3 * 8 + 1e-6


def test_compact_chains_grow_as_the_third_root_of_their_length():
    """In a ball, R_g = sqrt(3/5) (3 N v / 4 pi)^(1/3), with the 150 Å^3 a residue that the generator gives."""
    counts = np.array([40, 60, 90, 130, 190])
    radii = []
    for count in counts:
        several = [proteins.compact_chain(count, np.random.default_rng(seed)) for seed in range(3)]
        radii.append(np.mean([np.sqrt(np.square(chain - chain.mean(axis=0)).sum(axis=1).mean()) for chain in several]))
    exponent = np.polyfit(np.log(counts), np.log(radii), 1)[0]
    assert exponent == pytest.approx(1 / 3, abs=0.05)
    expected = np.sqrt(0.6) * (3 * counts * 150 / (4 * np.pi)) ** (1 / 3)
    np.testing.assert_allclose(radii, expected, rtol=0.1)


def test_whole_proteins_are_about_as_large_as_real_ones(protein):
    """Globular proteins have R_g = 2.2 N^0.38 Å (Skolnick); heaps of domains reach somewhat further."""
    residues = protein.residues
    radius = np.sqrt(np.square(residues - residues.mean(axis=0)).sum(axis=1).mean())
    assert 0.8 < radius / (2.2 * len(residues) ** 0.38) < 1.6


def test_a_seed_is_a_protein():
    one, two, other = (proteins.random_protein(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.atoms, two.atoms)
    assert one.elements == two.elements
    assert len(one.residues) != len(other.residues) or not np.allclose(one.residues, other.residues)


def test_a_random_protein_is_a_volume_like_others():
    volume = load_volume("Random:3", resolution=12, voxel_size=5)
    protein = proteins.random_protein(3)
    assert (volume.name, volume.voxel_size) == ("random_3", 5.0)
    # The scattering factors at zero angle of N, C and O, International Tables C 4.3.2.2.
    zero_angle = {"C": 2.509, "N": 2.211, "O": 1.983}
    expected = sum(zero_angle[element] for element in protein.elements)
    assert volume.density.sum() * 5.0**3 == pytest.approx(expected, rel=0.01)
    weights = np.array([zero_angle[element] for element in protein.elements])
    centre = np.average(protein.atoms, axis=0, weights=weights)
    np.testing.assert_allclose(volume.center_of_mass, centre, atol=0.2)
    spread = np.sqrt(np.average(np.square(protein.atoms - centre).sum(axis=1), weights=weights))
    assert shape.radius_of_gyration(volume) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("source", ["random:", "random:x", "random:-1", "random:1:2", "random:1.5", "random:1:2:3"])
def test_what_is_not_one_random_protein_is_refused(source):
    with pytest.raises(InputError, match=f"^source is '{source}'; wanted one random protein, such as random:7"):
        load_volume(source)
