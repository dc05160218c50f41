"""How projections and densities can be made.

A module of its own that imports nothing: a configuration names these choices, and starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Projector = Literal["fourier", "astra"]
"""What makes projections: Fourier slices, or ASTRA's ray sums, which need CUDA."""
NoiseSpectrum = Literal["white", "coloured"]
"""The noise's power by frequency: the same at all, or stronger at low ones."""
ShiftDistribution = Literal["triangular", "uniform"]
"""Of in-plane shifts along x and y, around none."""
ReconstructionMethod = Literal["normal_equations", "cgls"]
"""What makes a density: the normal equations of the Fourier slices, or ASTRA's CGLS, which needs CUDA."""

ITERATIONS: Mapping[ReconstructionMethod, int] = {"normal_equations": 10, "cgls": 20}
"""Conjugate-gradient iterations of each method that does not say how many; the former are preconditioned."""
