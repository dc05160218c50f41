"""The images of a table of particles: their stacks are found, checked, and read a few images at a time.

Stacks are read with plain reads into one buffer, not through a memory map: pages of a map that have been looked at
count as this process's memory, and a scan of 100,000 images would seem to take, and on a busy machine would take, the
size of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import ArgumentError, InputError
from ..base.files import opened
from ..base.paths import expanded
from ..base.progress import Progress, silent
from ..imaging.limits import SIZE
from .mrc import StackLayout, read_stack_layout
from .particle_table import PIXEL_SIZES_AGREE, ParticleTable

CHUNK_BYTES = 1 << 25
"""Of the images, as 32-bit numbers, that are in memory together while many are gone through."""
_ENDINGS = {".mrcs": ".mrc", ".mrc": ".mrcs"}
_LISTED = 3  # names in a message


@dataclass(frozen=True, eq=False)
class ImageSource:
    """The images of n particles, in the order of their table.

    Attributes
    ----------
    paths, layouts
        of each stack.
    stack_index, image_index
        (n,): which stack, and which of its images, from 0.
    image_size
        (n,) pixels along a side.
    pixel_size
        (n,) Å.
    remarks
        doubts, a line each.
    """

    paths: tuple[Path, ...]
    layouts: tuple[StackLayout, ...]
    stack_index: NDArray[np.int64]
    image_index: NDArray[np.int64]
    image_size: NDArray[np.int64]
    pixel_size: NDArray[np.float64]
    remarks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.stack_index)

    def read(self, indices: ArrayLike) -> NDArray[np.float32]:
        """Images (m, size, size) of particles, in the order of ``indices`` (m,), as recorded.

        Each stack is opened once, and read from its beginning to its end.

        Raises
        ------
        ArgumentError
            for indices beyond the table, and images of several sizes.
        InputError
            for a stack that can no longer be read, or has become shorter.
        """
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ArgumentError(
                "{indices} reach from {low} to {high}; wanted 0 to {most}", "indices", low=rows.min(), high=rows.max(),
                most=len(self) - 1,
            )  # fmt: skip
        sizes = np.unique(self.image_size[rows])
        if len(sizes) > 1:
            raise ArgumentError(
                "{indices} have images of {low} and {high} pixels; wanted one size at a time", "indices", low=sizes[0],
                high=sizes[-1],
            )  # fmt: skip
        size = int(sizes[0]) if len(sizes) else 0
        images = np.empty((len(rows), size, size), dtype=np.float32)
        order = np.lexsort((self.image_index[rows], self.stack_index[rows]))
        ordered = rows[order]
        ends = np.flatnonzero(np.diff(self.stack_index[ordered])) + 1
        for part in np.split(order, ends):
            if len(part):
                self._read_stack(int(self.stack_index[rows[part[0]]]), self.image_index[rows[part]], part, images)
        return images

    def chunks(
        self, indices: ArrayLike | None = None, most_bytes: int = CHUNK_BYTES
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Parts of the indices, of all when not given, and their images (m, size, size) of at most so many bytes.

        A part's images are of one size; in this order: size, stack, image.
        """
        rows = np.arange(len(self)) if indices is None else np.asarray(indices, dtype=np.int64).reshape(-1)
        rows = rows[np.lexsort((self.image_index[rows], self.stack_index[rows], self.image_size[rows]))]
        start = 0
        while start < len(rows):
            size = int(self.image_size[rows[start]])
            count = max(most_bytes // (4 * size * size), 1)
            part = rows[start : start + count]
            part = part[self.image_size[part] == size]
            yield part, self.read(part)
            start += len(part)

    def _read_stack(
        self, stack: int, numbers: NDArray[np.int64], places: NDArray[np.intp], images: NDArray[np.float32]
    ) -> None:
        """Put images of one stack, whose numbers ascend, in their places."""
        path, layout = self.paths[stack], self.layouts[stack]
        most = max(CHUNK_BYTES // (4 * layout.image_bytes), 1)  # a part of what the caller holds
        try:
            with opened(path) as file:
                start = 0
                while start < len(numbers):
                    end = start + 1  # a run of neighbours, and of the same again
                    while end < len(numbers) and numbers[end] - numbers[end - 1] <= 1:
                        if numbers[end] - numbers[start] >= most:
                            break
                        end += 1
                    count = int(numbers[end - 1] - numbers[start]) + 1
                    block = np.empty((count, layout.height, layout.width), layout.dtype)
                    offset = layout.offset + int(numbers[start]) * layout.image_bytes
                    view = block.reshape(-1).view(np.uint8).data
                    if _read_at(file.fileno(), view, offset) < len(view):
                        raise InputError(f"{path} has become shorter while it was read; start again when it is whole")
                    images[places[start:end]] = block[numbers[start:end] - numbers[start]]
                    start = end
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error


def _read_at(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill a buffer from a place in a file; how many bytes there were."""
    done = 0
    while done < len(view) and (count := os.preadv(descriptor, [view[done:]], offset + done)):
        done += count
    return done


def open_images(table: ParticleTable) -> ImageSource:
    """Find the stacks of a table and compare them with what it says.

    Where the table says nothing of pixel size or image size, the stacks' headers do.

    Raises
    ------
    InputError
        naming the stack: it is not found, unreadable, cut short, has fewer images than the table names, images that are
        not square, or of another size than the table says; or there is no pixel size.
    """
    paths = stack_paths(table)
    layouts = tuple(read_stack_layout(path) for path in paths)
    sizes = np.empty(len(layouts), np.int64)
    for stack, (path, layout) in enumerate(zip(paths, layouts, strict=True)):
        if layout.height != layout.width:
            raise InputError(f"{path} has images of {layout.width} x {layout.height} pixels; wanted square ones")
        if layout.width not in SIZE:
            raise InputError(f"{path} has images of {layout.width} pixels; wanted {SIZE}{SIZE.reason(layout.width)}")
        sizes[stack] = layout.width
    counts = np.array([layout.count for layout in layouts], dtype=np.int64)
    beyond = np.flatnonzero(table.image_index >= counts[table.stack_index])
    if len(beyond):
        first = int(beyond[0])
        path, count = paths[table.stack_index[first]], counts[table.stack_index[first]]
        raise InputError(
            f"{table.source} names {len(beyond):,} images beyond their stack's end, first "
            f"{table.image_name(first)}: {path} has {count:,} images; is it the right stack?"
        )
    image_size = sizes[table.stack_index]
    other = np.flatnonzero((table.image_size != 0) & (table.image_size != image_size))
    if len(other):
        first = int(other[0])
        raise InputError(
            f"{table.source} says that images are {table.image_size[first]} pixels wide, and those of "
            f"{paths[table.stack_index[first]]} are {image_size[first]}; if they were scaled down, the table's pixel "
            "size is not theirs: correct both in the table"
        )
    of_header = np.array([np.nan if one.pixel_size is None else one.pixel_size for one in layouts])[table.stack_index]
    pixel_size = np.where(np.isnan(table.pixel_size), of_header, table.pixel_size)
    if np.isnan(pixel_size).any():
        raise ArgumentError(
            "{path} has no pixel size, nor have the headers of its stacks; give it as {pixel_size}", "pixel_size",
            path=table.source,
        )  # fmt: skip
    remarks = [*_moved_stacks(table), *_contradicting_headers(pixel_size, of_header, table, paths)]
    return ImageSource(paths, layouts, table.stack_index, table.image_index, image_size, pixel_size, tuple(remarks))


def _contradicting_headers(
    pixel_size: NDArray[np.float64], of_header: NDArray[np.float64], table: ParticleTable, paths: tuple[Path, ...]
) -> list[str]:
    apart = np.flatnonzero(np.abs(of_header - pixel_size) > PIXEL_SIZES_AGREE * pixel_size)
    if not len(apart):
        return []
    first, count = int(apart[0]), len(np.unique(table.stack_index[apart]))
    others = f", and {count - 1:,} more stacks contradict it" if count > 1 else ""
    return [
        f"the table has {pixel_size[first]:.6g} Å per pixel and the header of {paths[table.stack_index[first]].name} "
        f"{of_header[first]:.6g}; the table's is taken{others}"
    ]


def stack_paths(table: ParticleTable) -> tuple[Path, ...]:
    """The files of a table's stacks.

    A name is looked for, with ``~`` expanded, in ``data_dir`` if it is given, whole and by its last part; then where it
    says if it is absolute, else in the table's folder and in those that contain it (one of them is the project's);
    then by its last part beside the table. With ``.mrc`` for ``.mrcs``, or the reverse, if there is nothing else.

    Raises
    ------
    InputError
        naming the first that is not found; and where different names lead to one file by their last part.
    """
    paths = [_stack_path(name, table.source, table.data_dir)[0] for name in table.stacks]
    missing = [name for name, path in zip(table.stacks, paths, strict=True) if path is None]
    if missing:
        listed = ", ".join(missing[:_LISTED]) + ("…" if len(missing) > _LISTED else "")
        where = f"{table.source.parent} and the folders above"
        if table.data_dir is not None:
            where = f"{table.data_dir}, {where}"
        raise ArgumentError(
            "{source}: {missing:,} of its {count} not found: {listed}; looked in {where}; give the folder with the "
            "images as {data_dir}", "data_dir", source=table.source, missing=len(missing),
            count="1 stack is" if len(paths) == 1 else f"{len(paths):,} stacks are", listed=listed, where=where,
        )  # fmt: skip
    known = [path for path in paths if path is not None]
    names_of: dict[Path, str] = {}
    for name, path in zip(table.stacks, known, strict=True):
        earlier = names_of.setdefault(path, name)
        if earlier != name and not _same_file_named(earlier, name):
            raise ArgumentError(
                "{one} and {other} of {source} both lead to {path}; give the folder in which they are two files as "
                "{data_dir}", "data_dir", one=earlier, other=name, source=table.source, path=path,
            )  # fmt: skip
    return tuple(known)


def _same_file_named(first: str, second: str) -> bool:
    return os.path.normpath(first) == os.path.normpath(second)


def known_layouts(table: ParticleTable) -> list[StackLayout | None]:
    """The layouts of a table's stacks; None for those that are not found or cannot be read."""
    layouts: list[StackLayout | None] = []
    for name in table.stacks:
        path, _ = _stack_path(name, table.source, table.data_dir)
        try:
            layouts.append(None if path is None else read_stack_layout(path))
        except InputError:
            layouts.append(None)
    return layouts


def _moved_stacks(table: ParticleTable) -> list[str]:
    """A remark on stacks that are neither where the table says nor in the folder that was given."""
    places = [(name, *_stack_path(name, table.source, table.data_dir)) for name in table.stacks]
    moved = [(name, path) for name, path, is_moved in places if is_moved]
    if not moved:
        return []
    name, path = moved[0]
    others = f", and so are {len(moved) - 1:,} more" if len(moved) > 1 else ""
    return [f"{name} is not there; {path} is read instead{others}"]


def _stack_path(name: str, source: Path, data_dir: Path | None) -> tuple[Path | None, bool]:
    """The file of a stack, None if there is none; and whether it is a guess from its name."""
    if "\0" in name:
        return None, False
    path = expanded(name)
    places = []
    if data_dir is not None:
        places += [data_dir / path.relative_to(path.anchor), data_dir / path.name]
    if path.is_absolute():
        places.append(path)
    else:
        folder = Path(os.path.abspath(source)).parent
        places += [above / path for above in (folder, *folder.parents)]
    guesses = [source.parent / path.name]
    other = _ENDINGS.get(path.suffix.lower())
    if other is not None:
        guesses += [place.with_suffix(other) for place in (*places, *guesses)]
    for is_guess, several in enumerate((places, guesses)):
        for place in several:
            if os.path.isfile(place):
                return place, bool(is_guess)
    return None, False


@dataclass(frozen=True, eq=False)
class Scan:
    """What images are like, by the particle, (n,).

    Attributes
    ----------
    mean, standard_deviation
        in the images' own units; NaN of images that were not looked at, or have values that are not finite.
    is_scanned, is_finite, is_constant
        whether an image was looked at, has finite values alone, has a single value.
    """

    mean: NDArray[np.float64]
    standard_deviation: NDArray[np.float64]
    is_scanned: NDArray[np.bool_]
    is_finite: NDArray[np.bool_]
    is_constant: NDArray[np.bool_]

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Whether an image was looked at and has finite values that differ."""
        return self.is_finite & ~self.is_constant


def scan(source: ImageSource, indices: ArrayLike | None = None, progress: Progress = silent) -> Scan:
    """Go through the images once, in bounded memory. What is not in ``indices`` (all, when not given) stays NaN."""
    count = len(source)
    result = Scan(np.full(count, np.nan), np.full(count, np.nan), *(np.zeros(count, bool) for _ in range(3)))
    wanted = count if indices is None else np.asarray(indices).size
    done = 0
    for rows, images in source.chunks(indices):
        for row, image in zip(rows, images, strict=True):  # one by one: nothing as large as the chunk is made
            result.is_scanned[row] = True
            result.is_finite[row] = np.isfinite(image).all()
            if result.is_finite[row]:
                result.is_constant[row] = image.min() == image.max()
                result.mean[row] = mean = image.mean(dtype=np.float64)
                result.standard_deviation[row] = np.sqrt(np.square(image - mean, dtype=np.float64).mean())
        done += len(rows)
        progress(done / wanted, {"images": done})
    return result


def left_out(table: ParticleTable, result: Scan) -> tuple[NDArray[np.int64], list[str]]:
    """Indices of the images that a scan found unusable, and lines that name the first of each kind and count them."""
    remarks = []
    has_nan = np.flatnonzero(result.is_scanned & ~result.is_finite)
    constant = np.flatnonzero(result.is_constant)
    for rows, what in ((has_nan, "NaN or infinite values"), (constant, "the same value everywhere")):
        if len(rows):
            verb = "image has" if len(rows) == 1 else "images have"
            remarks.append(f"{len(rows):,} {verb} {what}, first {table.image_name(int(rows[0]))}; left out")
    return np.union1d(has_nan, constant), remarks
