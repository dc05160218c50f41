"""Images, or half planes of Fourier coefficients, of a stack: held, or read or computed when they are asked for.

Those of 100,000 images of 128 pixels take more memory than the images themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Computed:
    """Planes of the ``shape`` (n, size, size // 2 + 1), or images (n, size, size); ``compute`` gives those of indices.

    Indexed like an array along the first axis; nothing is kept.

    >>> planes = Computed((5, 2, 2), lambda indices: np.ones((len(indices), 2, 2)) * indices[:, None, None])
    >>> planes[3:][:, 0, 0]
    array([3., 4.])
    """

    shape: tuple[int, int, int]
    compute: Callable[[Indices], NDArray[np.floating]]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, members: slice | Indices) -> NDArray[np.floating]:
        """The planes of some images."""
        return self.compute(np.arange(self.shape[0])[members])


Planes = NDArray[np.floating] | Computed
"""Real factors of each image's spectrum, (n, size, size // 2 + 1), in the order of ``numpy.fft.rfft2``."""
