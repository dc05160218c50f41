"""The volume of the experiment, loaded before the run has a directory: wrong input creates none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.progress import Progress
from ...config.schema import Config
from ..stage import Context, Cost, Source, Stage

if TYPE_CHECKING:
    from ...imaging.volume import Volume


class VolumeStage(Stage):
    """Loading; the pipeline does it and counts its time."""

    name = "volume"
    memory_keys = ()

    def cost(self, config: Config, source: Source) -> Cost:
        """A tenth of a second; work space for transforms of the density."""
        return Cost(0.1, 16 * 4 * source.voxels)

    def run(self, context: Context, progress: Progress) -> Volume:
        """The volume, which the context has from the start."""
        return context.volume
