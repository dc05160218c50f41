"""Density from atomic coordinates, by gemmi."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError, InputError
from ..base.inputs import reading, require_memory_for_voxels
from ..base.texts import in_ascii
from . import coordinates_model, coordinates_text
from .coordinates_model import positions, stray_atoms
from .proteins import random_protein
from .sources import DEFAULT_RESOLUTION

Warn = Callable[[str], None]
COORDINATE_ENDINGS = (".pdb", ".ent", ".cif", ".mmcif")

_LARGEST_FILE = 1 << 30  # bytes, unpacked; the largest entries of the PDB have a third of it
_TAIL = 1e-4  # of its peak: where an atom's density is cut off, which leaves out less than 1e-3 of its integral


def read_coordinates(
    path: str | Path, resolution: float | None = None, voxel_size: float | None = None, warn: Warn = lambda line: None
) -> tuple[NDArray[np.float32], float, NDArray[np.float64]]:
    """Density (nz, ny, nx) of a PDB or mmCIF file, Å per voxel, and origin (3,), (x, y, z) in Å in the file's frame.

    See :func:`read_model` for which atoms count and :func:`density_from_model` for the density.

    Parameters
    ----------
    resolution
        in Å, 8 when not given.
    voxel_size
        in Å, a third of the resolution when not given.
    warn
        is called with each line about what was left out of the file or is doubtful in it.

    Raises
    ------
    InputError
        naming the file, if it contains no atoms; naming the key, for a voxel size that does not fit the resolution; for
        a volume too large for memory.
    """
    resolution, voxel_size = resolution_and_voxel_size(resolution, voxel_size)
    model = read_model(Path(path), warn)
    density, origin = density_from_model(model, resolution, voxel_size, str(path))
    return density, voxel_size, origin


def random_coordinates(
    seed: int, resolution: float | None = None, voxel_size: float | None = None
) -> tuple[NDArray[np.float32], float, NDArray[np.float64]]:
    """:func:`read_coordinates` of a random protein, see :mod:`io.proteins`."""
    resolution, voxel_size = resolution_and_voxel_size(resolution, voxel_size)
    protein = random_protein(seed)
    everything = gemmi.Residue()
    for position, element in zip(protein.atoms.tolist(), protein.elements, strict=True):
        atom = gemmi.Atom()
        atom.element, atom.pos = gemmi.Element(element), gemmi.Position(*position)
        everything.add_atom(atom)
    chain, model = gemmi.Chain("A"), gemmi.Model(1)
    chain.add_residue(everything)
    model.add_chain(chain)
    density, origin = density_from_model(model, resolution, voxel_size, f"random:{seed}")
    return density, voxel_size, origin


def resolution_and_voxel_size(resolution: float | None, voxel_size: float | None) -> tuple[float, float]:
    """Both in Å, with defaults where not given; InputError where they do not fit."""
    resolution = DEFAULT_RESOLUTION if resolution is None else resolution
    voxel_size = resolution / 3 if voxel_size is None else voxel_size
    if not resolution / 20 <= voxel_size <= resolution / 2:
        raise ArgumentError(
            "{voxel_size} is {given:g} Å at {resolution} {at:g} Å; wanted between {least:g} (finer adds nothing) and "
            "{most:g} (coarser cannot hold the detail)", "voxel_size", "resolution", given=voxel_size, at=resolution,
            least=resolution / 20, most=resolution / 2,
        )  # fmt: skip
    return resolution, voxel_size


def read_model(path: Path, warn: Warn = lambda line: None) -> gemmi.Model:
    """The atoms that count: those of the first model, as deposited, without waters, hydrogens and virtual sites.

    Alternative conformations all stay, each with its occupancy; ligands and ions stay. No symmetry is applied: a
    biological assembly that is more than the deposited chains has to be given as a file of its own. Hydrogens are left
    out so that a protein is the same whether or not its file lists them.

    Elements are those of the file, and of the names (:mod:`io.atoms`) where it gives none. What neither gives, such as
    coarse-grained beads, and what has no coordinates, is left out and counted. An occupancy left blank is 1.

    Parameters
    ----------
    warn
        is called with each line, naming the file, of what was left out or is doubtful.

    Raises
    ------
    InputError
        naming the file, for what holds no atoms, more that is left out than that counts, or no occupancies.
    """
    with reading(path) as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise InputError(f"{path} holds more than {_LARGEST_FILE >> 20} MiB; wanted the coordinates of one structure")
    text, remarks = in_ascii(content, path).decode("ascii"), list[str]()
    try:
        text = coordinates_text.repaired(text, remarks.append)
        structure = gemmi.read_structure_string(text, format=gemmi.CoorFormat.Detect)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RuntimeError) as error:  # what gemmi raises for syntax and for structure
        raise InputError(f"{path} is no PDB or mmCIF file: {' '.join(str(error).split())}") from error
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise InputError(f"{path} holds no atoms; wanted the coordinates of a protein")
    model = structure[0]
    coordinates_model.remove_waters_and_hydrogens(model)
    remarks += coordinates_model.remove_what_is_not_understood(model, path)
    if model.count_atom_sites() == 0:
        raise InputError(f"{path} holds no atoms but water and hydrogen; wanted the coordinates of a protein")
    remarks += coordinates_model.check_occupancies(model, path)
    if far := stray_atoms(model):
        remarks.append(f"{far}: most of the box is empty")
    for remark in remarks:
        warn(f"{path}: {remark}")
    return model


def density_from_model(
    model: gemmi.Model, resolution: float, voxel_size: float, name: str = "the model"
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Density (nz, ny, nx) of a model at a resolution, and origin (3,) (x, y, z); all lengths in Å.

    Each atom is its electron scattering factor (five Gaussians, International Tables for Crystallography C, table
    4.3.2.2) times ``exp(-B s^2 / 4)``, at its occupancy. ``B = 4 resolution^2`` lets the amplitude fall to 1/e at
    ``s = 1 / resolution``, as ChimeraX's molmap and EMAN's pdb2mrc have it. The deposited B factors are not used: they
    mean different things in crystals and in maps, and a predicted structure keeps its confidence there.

    Values are in Å^-2 (times 47.88 V Å^2 they are the electrostatic potential in volts); their sum times
    ``voxel_size^3`` is the sum of the scattering factors at zero angle. The box holds every atom's density down to 1e-4
    of its peak, about one resolution on each side.
    """
    model = model.clone()
    calculator = gemmi.DensityCalculatorE()
    calculator.blur = 4 * resolution**2
    calculator.cutoff = _TAIL * gemmi.Element("C").c4322.calculate_density_iso(0.0, calculator.blur)
    atoms = [site.atom for site in model.all()]
    for atom in atoms:
        atom.b_iso = 0.0
        atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    margin = max(calculator.estimate_radius(atom) for atom in {atom.element.name: atom for atom in atoms}.values())

    places = positions(model)
    low, high = places.min(axis=0), places.max(axis=0)
    size = np.ceil((high - low + 2 * margin) / voxel_size) + 1
    far = stray_atoms(model)
    remedy = "{far}, correct or remove it" if far else "raise {voxel_size} and {resolution}"
    require_memory_for_voxels(size[::-1].tolist(), name, remedy, "voxel_size", "resolution", far=far)
    origin = (low + high - (size - 1) * voxel_size) / 2
    model.transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*-origin)))
    calculator.grid.set_size(*size.astype(int).tolist())
    width, height, depth = (size * voxel_size).tolist()
    calculator.grid.set_unit_cell(gemmi.UnitCell(width, height, depth, 90, 90, 90))
    calculator.add_model_density_to_grid(model)
    # gemmi's grid is indexed [x, y, z] with x fastest; the copy outlives it.
    return np.array(calculator.grid, copy=True).T.copy(order="C"), origin


@dataclass(frozen=True)
class Composition:
    """What a model is made of: atoms that count (see :func:`read_model`), chains with any, and their mass in kDa."""

    atoms: int
    chains: int
    mass_kda: float


def composition(path: str | Path) -> Composition:
    """Counted by occupancy where the mass is concerned; without waters and hydrogens. InputError as for reading."""
    model = read_model(Path(path))
    atoms = [site.atom for site in model.all()]
    mass = sum(atom.element.weight * atom.occ for atom in atoms)
    return Composition(len(atoms), sum(1 for chain in model if len(chain)), mass / 1000)
