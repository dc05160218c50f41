"""Density from atoms against closed forms, published scattering factors and a reading of the PDB columns by hand."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import gemmi
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from engine.base.errors import InputError
from engine.io import coordinates_text
from engine.io.coordinates import Composition, composition, density_from_model, read_coordinates, read_model

DATA = Path(__file__).parents[2] / "engine" / "data"

# International Tables for Crystallography C (2004), table 4.3.2.2: f(s) = sum a exp(-b s^2 / 4).
CARBON_A = np.array([0.0893, 0.2563, 0.7570, 1.0487, 0.3575])
CARBON_B = np.array([0.2465, 1.7100, 6.4094, 18.6113, 50.2523])
# f(0) in Å after Doyle & Turner, Acta Cryst. A24 (1968) 390, table 4a, from an independent fit.
DOYLE_TURNER = {"C": 2.509, "N": 2.211, "O": 1.983, "S": 5.161, "P": 5.488, "MG": 5.207}


def pdb_line(position, element="C", *, name="CA", residue="ALA", altloc=" ", occupancy=1.0, b=20.0, record="ATOM"):
    x, y, z = position
    return (
        f"{record:6s}    1  {name:3s}{altloc}{residue:3s} A   1    {x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b:6.2f}"
        f"          {element:>2s}"
    )


def pdb(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def at(density, origin, voxel_size, positions):
    """The density at positions (n, 3) in the source's frame, by quintic splines (SciPy)."""
    indices = (np.atleast_2d(positions) - origin) / voxel_size
    return map_coordinates(density, indices[:, ::-1].T, order=5)


def carbon_profile(distance, resolution):
    """The closed form of a carbon atom at a distance in Å: five Gaussians, each blurred by B = 4 resolution^2."""
    widths = CARBON_B + 4 * resolution**2
    return np.sum(
        CARBON_A * (4 * np.pi / widths) ** 1.5 * np.exp(-4 * np.pi**2 * np.square(distance)[..., None] / widths),
        axis=-1,
    )


def atoms_by_hand(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) and f(0) (n,) of a PDB file's atoms, from its columns."""
    lines = gzip.decompress((DATA / name).read_bytes()).decode().splitlines()
    atoms = [line for line in lines if line.startswith(("ATOM", "HETATM")) and line[17:20] != "HOH"]
    positions = np.array([[float(line[i : i + 8]) for i in (30, 38, 46)] for line in atoms])
    return positions, np.array([float(line[54:60]) * DOYLE_TURNER[line[76:78].strip()] for line in atoms])


@pytest.mark.parametrize(("resolution", "voxel_size"), [(8.0, None), (3.0, 0.5), (20.0, 4.0)])
def test_one_atom_is_the_closed_form_everywhere(tmp_path, resolution, voxel_size):
    position = np.array([11.3, -7.7, 23.1])
    density, voxel_size, origin = read_coordinates(pdb(tmp_path / "c.pdb", pdb_line(position)), resolution, voxel_size)
    z, y, x = np.indices(density.shape)
    points = origin + voxel_size * np.stack([x, y, z], axis=-1)
    expected = carbon_profile(np.linalg.norm(points - position, axis=-1), resolution)
    np.testing.assert_allclose(density, expected, rtol=0, atol=2e-4 * expected.max())
    assert density.dtype == np.float32
    assert density.flags.c_contiguous
    # Far enough that the tail has ended before the box does.
    faces = [density[[0, -1]], density[:, [0, -1]], density[:, :, [0, -1]]]
    assert max(face.max() for face in faces) < 2e-4 * density.max()


def test_amplitude_falls_to_1_over_e_at_the_resolution(tmp_path):
    resolution = 8.0
    density, voxel_size, _ = read_coordinates(pdb(tmp_path / "c.pdb", pdb_line((0, 0, 0))), resolution, 1.0)
    line = density.sum(axis=(0, 1))  # its transform is the central line of the volume's
    n = np.arange(len(line)) * voxel_size
    s = np.array([0.5, 1.0, 1.5]) / resolution
    amplitude = np.abs(np.exp(-2j * np.pi * np.outer(s, n)) @ line) / line.sum()
    carbon = np.exp(-np.outer(s**2, CARBON_B) / 4) @ CARBON_A / CARBON_A.sum()
    np.testing.assert_allclose(amplitude, carbon * np.exp(-np.array([0.25, 1.0, 2.25])), atol=1e-3)


@pytest.mark.parametrize("name", ["6msm.pdb.gz", "1tii.pdb.gz"])
def test_a_protein_has_the_integral_centre_and_radius_of_its_atoms(name):
    positions, weights = atoms_by_hand(name)
    density, voxel_size, origin = read_coordinates(DATA / name)
    assert voxel_size == pytest.approx(8 / 3)
    total = density.sum(dtype=float)
    assert total * voxel_size**3 == pytest.approx(weights.sum(), rel=2e-3)

    z, y, x = np.indices(density.shape)
    points = origin + voxel_size * np.stack([x, y, z], axis=-1)
    centre = np.einsum("zyx,zyxi->i", density, points) / total
    atoms_centre = weights @ positions / weights.sum()
    np.testing.assert_allclose(centre, atoms_centre, atol=0.02 * voxel_size)

    square_radius = np.einsum("zyx,zyxi->", density, (points - centre) ** 2) / total
    atoms_square_radius = weights @ ((positions - atoms_centre) ** 2).sum(axis=1) / weights.sum()
    # A Gaussian of B adds 3 B / (8 pi^2); that of the atoms themselves is carbon's here, the most frequent.
    own = CARBON_A @ CARBON_B / CARBON_A.sum()
    expected = atoms_square_radius + 3 * (4 * 8.0**2 + own) / (8 * np.pi**2)
    assert np.sqrt(square_radius) == pytest.approx(np.sqrt(expected), rel=1e-3)


def test_density_overlays_the_coordinates(tmp_path):
    """Four atoms, a different step along each axis: the peaks are where the file says, in (x, y, z)."""
    positions = np.array([[100.0, 5.0, -40.0], [130.0, 5.0, -40.0], [100.0, 50.0, -40.0], [100.0, 5.0, 30.0]])
    path = pdb(tmp_path / "l.pdb", *(pdb_line(p) for p in positions))
    density, voxel_size, origin = read_coordinates(path, 6.0, 1.0)
    peak = float(carbon_profile(np.zeros(1), 6.0)[0])
    np.testing.assert_allclose(at(density, origin, voxel_size, positions), peak, rtol=5e-3)
    # The box is the atoms' own, with the same margin on each side, not a cube.
    last = origin + voxel_size * (np.array(density.shape[::-1]) - 1)
    np.testing.assert_allclose(positions.min(axis=0) - origin, last - positions.max(axis=0), atol=1e-6)
    assert 0.9 * 6 < (positions.min(axis=0) - origin).min() < 1.5 * 6


def test_elements_and_occupancy_weigh(tmp_path):
    def integral(**kwargs):
        density, voxel_size, _ = read_coordinates(pdb(tmp_path / "x.pdb", pdb_line((0, 0, 0), **kwargs)), 8.0, 2.0)
        return density.sum(dtype=float) * voxel_size**3

    for element, expected in DOYLE_TURNER.items():
        assert integral(element=element, name=element, residue="LIG") == pytest.approx(expected, rel=5e-3)
    assert integral(occupancy=0.25) == pytest.approx(0.25 * DOYLE_TURNER["C"], rel=2e-3)


def test_deposited_b_factors_are_not_used(tmp_path):
    anisotropic = "ANISOU    1  CA  ALA A   1    20000   9000  30000      0      0      0           C"
    reference = read_coordinates(pdb(tmp_path / "a.pdb", pdb_line((0, 0, 0), b=0.0)))
    for other in (
        pdb(tmp_path / "b.pdb", pdb_line((0, 0, 0), b=300.0)),
        pdb(tmp_path / "c.pdb", pdb_line((0, 0, 0)), anisotropic),
    ):
        np.testing.assert_array_equal(read_coordinates(other)[0], reference[0])


def test_first_model_without_water_and_hydrogen_with_all_conformations(tmp_path):
    kept = [
        pdb_line((0, 0, 0)),
        pdb_line((5, 0, 0), name="CB", altloc="A", occupancy=0.6),
        pdb_line((5, 1, 0), name="CB", altloc="B", occupancy=0.4),
        pdb_line((0, 5, 0), "ZN", name="ZN", residue="ZN", record="HETATM"),
    ]
    left_out = [
        pdb_line((1, 0, 0), "H", name="HA"),
        pdb_line((1, 1, 0), "D", name="DA"),
        pdb_line((20, 0, 0), "O", name="O", residue="HOH", record="HETATM"),
    ]
    second = ["ENDMDL", "MODEL        2", pdb_line((50, 50, 50)), "ENDMDL"]
    path = pdb(tmp_path / "all.pdb", "MODEL        1", *kept, *left_out, *second)
    model = read_model(path)
    assert sorted(tuple(site.atom.pos.tolist()) for site in model.all()) == [(0, 0, 0), (0, 5, 0), (5, 0, 0), (5, 1, 0)]
    assert sorted(round(site.atom.occ, 2) for site in model.all()) == [0.4, 0.6, 1.0, 1.0]


def test_the_same_protein_as_pdb_and_mmcif_plain_and_gzipped(tmp_path):
    content = gzip.decompress((DATA / "1bd2.cif.gz").read_bytes())
    model = read_model(DATA / "1bd2.cif.gz")
    assert model.count_atom_sites() == 6339
    expected = read_coordinates(DATA / "1bd2.cif.gz", 10.0)[0]
    (tmp_path / "1bd2.mmcif").write_bytes(content)
    np.testing.assert_array_equal(read_coordinates(tmp_path / "1bd2.mmcif", 10.0)[0], expected)
    lines = gzip.decompress((DATA / "1tii.pdb.gz").read_bytes())
    (tmp_path / "1tii.ent").write_bytes(lines)
    np.testing.assert_array_equal(
        read_coordinates(tmp_path / "1tii.ent", 10.0)[0], read_coordinates(DATA / "1tii.pdb.gz", 10.0)[0]
    )


def test_the_model_given_is_not_changed():
    model = read_model(DATA / "1tii.pdb.gz")
    before = [(site.atom.pos.tolist(), site.atom.b_iso) for site in model.all()]
    density_from_model(model, 10.0, 3.0)
    assert [(site.atom.pos.tolist(), site.atom.b_iso) for site in model.all()] == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("REMARK nothing here\nEND\n", r"holds no atoms; wanted the coordinates of a protein"),
        ("Dear all, see attachment.\n" * 50, r"holds no atoms"),
        ('{"a": 1}', r"x\.pdb is no PDB or mmCIF file: wrong format"),
        ("data_x\nloop_\n_a", r"x\.pdb is no PDB or mmCIF file: .*parse error"),
        ("data_x\n_cell.length_a 10\n", r"holds no atoms"),
        (pdb_line((0, 0, 0), "O", name="O", residue="HOH"), r"holds no atoms but water and hydrogen"),
        (pdb_line((0, 0, np.nan)), r"an atom's coordinates are not finite"),
        (pdb_line((0, 0, 0)).replace("   0.000", "********", 1), r"not finite numbers: those of atom 1 \(CA of ALA 1,"),
        (
            pdb_line((0, 0, 0), occupancy=0),
            r"the density is 0 everywhere, for every atom has occupancy 0; write 1\.00",
        ),
        (
            pdb_line((0, 0, 0), occupancy=-0.42),
            r"the occupancy of atom 1 \(CA of ALA 1, chain A\) is -0\.42; wanted 0 to",
        ),
        (pdb_line((0, 0, 0)).replace("  1.00", "  high"), r"columns 55 to 60 of atom 1 \(CA of ALA 1\) hold 'high'"),
        (
            pdb_line((0, 0, 0), "", residue="DEN")[:76].replace(" CA  ", "DENS "),
            r"1 of its 1 atoms have no element.* \(1 DENS of DEN\)",
        ),
        (
            "\n".join(pdb_line((i, 0, 0), "", name=n, residue="PHE")[:76] for i, n in enumerate(("BB", "SC1", "CA"))),
            r"2 of its 3 atoms have no element, and names that give none \(1 BB of PHE, 1 SC1 of PHE\)",
        ),
        (
            "data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nC1 0.1\n",
            r"it holds a small molecule's fractional coord",
        ),
        ("data_x\nloop_\n_atom_site.id\n_atom_site.type_symbol\n1 C\n", r"its _atom_site has no Cartn_x"),
        ("", r"x\.pdb is empty"),
    ],
)
def test_files_without_usable_atoms(content, message, tmp_path):
    path = tmp_path / "x.pdb"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_coordinates(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "x.cif.gz"
    path.write_bytes((DATA / "1bd2.cif.gz").read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"x\.cif\.gz: the gzip file is cut short or damaged"):
        read_coordinates(path)


def test_gzip_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.io.coordinates._LARGEST_FILE", 1 << 20)
    path = tmp_path / "x.pdb.gz"
    path.write_bytes(gzip.compress(bytes(1 << 24)))
    with pytest.raises(InputError, match=r"x\.pdb\.gz holds more than 1 MiB"):
        read_coordinates(path)


def test_too_large_for_memory_is_refused_before_it_is_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.base.inputs.psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    path = pdb(tmp_path / "far.pdb", pdb_line((-900, -900, -900)), pdb_line((900, 900, 900)))
    with pytest.raises(
        InputError, match=r"far\.pdb: (\d+) x \1 x \1 voxels need .* GiB .*raise voxel_size and resolution"
    ):
        read_coordinates(path)
    path = tmp_path / "absurd.cif"
    keys = (
        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id Cartn_x Cartn_y"
    )
    columns = "".join(f"_atom_site.{key}\n" for key in [*keys.split(), "Cartn_z", "occupancy", "B_iso_or_equiv"])
    atoms = "ATOM 1 C CA . ALA A 1 0 0 0 1 20\nATOM 2 C CB . ALA A 1 1e200 1e200 1e200 1 20\n"
    path.write_text(f"data_x\nloop_\n{columns}{atoms}")
    with pytest.raises(InputError, match=r"absurd\.cif: .*inf GiB"):
        read_coordinates(path)


@pytest.mark.parametrize("voxel_size", [5.01, 0.49])
def test_voxel_size_has_to_fit_the_resolution(voxel_size):
    with pytest.raises(InputError, match=r"^voxel_size is .* at resolution 10 Å; wanted between 0\.5"):
        read_coordinates(DATA / "1bd2.cif.gz", 10.0, voxel_size)


def test_what_a_model_is_made_of(tmp_path):
    path = pdb(
        tmp_path / "x.pdb", pdb_line((0, 0, 0)), pdb_line((3, 0, 0), "S", occupancy=0.5), pdb_line((6, 0, 0), "H"),
        pdb_line((9, 0, 0), "O", residue="HOH", record="HETATM"),
    )  # fmt: skip
    assert composition(path) == Composition(
        atoms=2, chains=1, mass_kda=pytest.approx((12.011 + 32.06 / 2) / 1000, 1e-4)
    )


def test_a_protein_has_the_atoms_of_its_file():
    positions, _ = atoms_by_hand("1tii.pdb.gz")
    content = composition(DATA / "1tii.pdb.gz")
    assert content.atoms == len(positions)
    assert content.chains == 7  # five B, two parts of A
    assert content.mass_kda == pytest.approx(13.3e-3 * len(positions), rel=0.03)


def unnamed(path: Path, to: Path, left: bool) -> tuple[list[str], list[str]]:
    """A deposited file's atoms as simulation programs write them: no elements, perhaps names at the left.

    Returns the deposited elements, and those that are read of the copy, both without hydrogen.
    """
    structure = gemmi.read_structure(str(path))
    atoms = [site for site in structure[0].all() if site.residue.name != "HOH"]
    lines = []
    for number, (chain, residue, atom) in enumerate((site.chain, site.residue, site.atom) for site in atoms):
        name = f"{atom.name:<4}" if left or len(atom.name) == 4 or len(atom.element.name) == 2 else f" {atom.name:<3}"
        x, y, z = atom.pos.tolist()
        lines.append(
            f"ATOM  {number % 100_000:5d} {name} {residue.name:>3} {chain.name[0]}{residue.seqid.num:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}"
        )
    model = read_model(pdb(to, *lines))
    kept = [site.atom.element.name for site in atoms if not site.atom.is_hydrogen()]
    return kept, [site.atom.element.name for site in model.all()]


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("name", ["1tii.pdb.gz", "6msm.pdb.gz", "1bd2.cif.gz"])
def test_elements_that_a_file_lacks_are_those_deposited(name, left, tmp_path):
    deposited, read = unnamed(DATA / name, tmp_path / "x.pdb", left)
    assert read == deposited


CIF = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id "
    "Cartn_x Cartn_y Cartn_z"
)


def cif(path: Path, *rows: str, keys: str = CIF) -> Path:
    columns = "".join(f"_atom_site.{key}\n" for key in keys.split())
    path.write_text(f"data_x\nloop_\n{columns}" + "".join(f"{row}\n" for row in rows))
    return path


def elements(path: Path) -> tuple[list[str], list[str]]:
    """What is read of a file, and what is remarks of it."""
    remarks: list[str] = []
    model = read_model(path, remarks.append)
    return [site.atom.element.name for site in model.all()], [line.removeprefix(f"{path}: ") for line in remarks]


def test_elements_that_an_mmcif_lacks_are_told_from_names(tmp_path):
    rows = ("ATOM 1 ? CA . ALA A 1 1 2 3", "ATOM 2 . SE . MSE A 2 2 2 3", "ATOM 3 N1+ N . LIG A 3 3 2 3",
            "HETATM 4 ? CA . CA B . 4 2 3", 'ATOM 5 fe FE . HEM A 4 5 2 3', 'ATOM 6 ? "O5\'" . DA A 5 6 2 3',
            "ATOM 7 O OW . SOL A 6 7 2 3", "ATOM 8 ? Q . LIG A 3 8 2 3")  # fmt: skip
    read, remarks = elements(cif(tmp_path / "x.cif", *rows))
    assert sorted(read) == ["C", "Ca", "Fe", "N", "O", "Se"]
    assert remarks == ["1 of its 7 atoms are left out, their elements are unknown: 1 Q of LIG"]


def test_an_mmcif_without_columns_that_gemmi_needs_is_read(tmp_path):
    few = "label_atom_id label_comp_id label_seq_id Cartn_x Cartn_y Cartn_z"
    read, remarks = elements(cif(tmp_path / "x.cif", "CA ALA 1 1 2 3", "N ALA 1 2 2 3", keys=few))
    assert read == ["C", "N"]
    assert remarks == ["it has no _atom_site.type_symbol; the elements are taken from the atoms' names"]


def test_names_of_an_mmcif_in_capital_letters_are_the_same(tmp_path):
    path = cif(tmp_path / "x.cif", "ATOM 1 C CA . ALA A 1 1 2 3", "ATOM 2 N N . ALA A 1 2 2 3")
    wanted = composition(path)
    path.write_text(path.read_text().replace("_atom_site.", "_ATOM_SITE.").replace("type_symbol", "TYPE_SYMBOL"))
    assert "_ATOM_SITE.TYPE_SYMBOL" in path.read_text()
    assert composition(path) == wanted
    assert wanted.atoms == 2


def test_a_calcium_ion_and_a_c_alpha_are_told_apart(tmp_path):
    lines = [pdb_line((i, 0, 0), "", name="CA ", residue=residue) for i, residue in enumerate(("ALA", "CA ", "ALA"))]
    left = [line[:12] + "CA  " + line[16:76] for line in lines]
    assert elements(pdb(tmp_path / "x.pdb", *left)) == (["C", "C", "Ca"], [])
    wrong = [line[:76] + "CA" for line in left]
    read, remarks = elements(pdb(tmp_path / "x.pdb", *wrong))
    assert read == ["C", "C", "Ca"]
    assert remarks == ["2 of its atoms have the element of their names: 2 CA of ALA taken as C, not Ca"]


@pytest.mark.parametrize(
    ("columns", "element"),
    [(" c", "C"), ("c ", "C"), ("Zn", "Zn"), ("N1+", "N"), ("N+", "N"), ("  C", "C"), (" ZN", "Zn"), (" FE", "Fe"),
     (" D", None), ("EP", None)],
)  # fmt: skip
def test_the_element_column_in_small_letters_with_a_charge_or_a_column_late(columns, element, tmp_path):
    name = "LP1" if columns == "EP" else "Q"
    path = pdb(
        tmp_path / "x.pdb", pdb_line((0, 0, 0)), pdb_line((1, 0, 0), "", name=name, residue="LIG")[:76] + columns
    )
    assert elements(path) == (["C", *([element] if element else [])], [])


def test_waters_by_all_their_names_are_left_out_and_ligands_of_that_name_stay(tmp_path):
    waters = [
        pdb_line((i, 9, 0), "O", name=name, residue=residue)
        for i, (name, residue) in enumerate([("OW", "SOL"), ("O", "TP3"), ("OH2", "TIP"), ("O", "SPC"), ("O", "OPC")])
    ]
    long = pdb_line((9, 9, 0), "O", name="OH2", residue="TIP")
    long = long[:17] + "TIP3W" + long[22:]
    virtual = pdb_line((9, 9, 0), "", name="MW", residue="SOL")
    ligand = pdb_line((0, 0, 0), "P", name="P", residue="T3P"), pdb_line((1, 0, 0), "O", name="O", residue="T3P")
    assert elements(pdb(tmp_path / "x.pdb", *ligand, *waters, long, virtual)) == (["P", "O"], [])


def test_amber_names_of_four_letters_are_read_and_keep_their_chain(tmp_path):
    lines = [pdb_line((i, 0, 0), "", name=name) for i, name in enumerate(("N", "CA", "SD"))]
    lines = [line[:12] + line[13:16].ljust(4) + " " + residue + line[21:76]
             for line, residue in zip(lines, ("NALA", "HISE", "CMET"), strict=True)]  # fmt: skip
    model = read_model(pdb(tmp_path / "x.pdb", *lines))
    assert [(s.chain.name, s.residue.name, s.atom.element.name) for s in model.all()] == [
        ("A", "ALA", "N"), ("A", "HIS", "C"), ("A", "MET", "S")
    ]  # fmt: skip


def test_an_atom_without_coordinates_is_left_out_and_counted_never_at_zero(tmp_path):
    lost = pdb_line((5, 5, 5), name="CB").replace("   5.000", "********", 1)
    read, remarks = elements(pdb(tmp_path / "x.pdb", pdb_line((4, 5, 5)), lost, pdb_line((6, 5, 5), name="C")))
    assert read == ["C", "C"]
    assert remarks == ["1 of its 3 atoms are left out, their coordinates are not finite numbers: 1 CB of ALA"]


def test_an_occupancy_left_blank_is_1(tmp_path):
    full = pdb_line((0, 0, 0))
    blank = full[:54] + "      " + full[60:]
    assert composition(pdb(tmp_path / "x.pdb", blank)) == composition(pdb(tmp_path / "y.pdb", full))
    read, remarks = elements(pdb(tmp_path / "z.pdb", full, pdb_line((1, 0, 0), occupancy=1.5)))
    assert read == ["C", "C"]
    assert remarks == ["1 of its atoms have occupancies above 1, up to 1.5, which are used as given"]


def test_alternatives_that_are_each_whole_are_reported(tmp_path):
    thirds = [pdb_line((9, i, 0), name="N", altloc=letter, occupancy=0.34) for i, letter in enumerate("ABC")]
    twice = [pdb_line((0, i, 0), altloc=letter) for i, letter in enumerate("AB")]
    assert elements(pdb(tmp_path / "x.pdb", *thirds))[1] == [], "0.34 is a third, rounded"
    assert elements(pdb(tmp_path / "y.pdb", *thirds, *twice))[1] == [
        "1 of its atoms have alternatives whose occupancies add up to more than 1, up to 2, which are used as given"
    ]


def test_the_charges_of_a_pqr_file_are_no_occupancies(tmp_path):
    lines = [f"{pdb_line((i, 0, 0))[:54]}{charge:8.4f}{1.824:7.4f}" for i, charge in enumerate((-0.4157, 0.0337))]
    path = pdb(tmp_path / "x.pdb", *lines)
    assert composition(path) == Composition(2, 1, pytest.approx(2 * 12.011e-3, 1e-4))
    assert elements(path)[1] == [
        "it has charges and radii in place of occupancies, as PQR files do; every atom is given the occupancy 1"
    ]


def test_a_stray_atom_is_named(tmp_path):
    chain = [pdb_line((i, 0, 0)) for i in range(40)]
    far = pdb_line((500, 0, 0), name="CB").replace("    1 ", "   99 ", 1)
    assert elements(pdb(tmp_path / "x.pdb", *chain, far))[1] == [
        "atom 99 (CB of ALA 1, chain A) is 461 Å from the nearest other atom: most of the box is empty"
    ]
    path = pdb(tmp_path / "x.pdb", *chain, pdb_line((9999.999, 9999.999, 9999.999)))
    with pytest.raises(
        InputError, match=r"GiB are free; atom 1 \(CA of ALA 1, chain A\) is 17,2\d\d Å from .*, correct"
    ):
        read_coordinates(path)


def test_a_well_formed_file_reaches_gemmi_as_it_is():
    for name in ("1tii.pdb.gz", "6msm.pdb.gz", "1bd2.cif.gz"):
        text = gzip.decompress((DATA / name).read_bytes()).decode()
        assert coordinates_text.repaired(text, lambda line: pytest.fail(line)) is text
