"""Reads the files of a run's record: every value has the type and range that it should have, or the file is damaged.

Nothing beyond this point has to expect a date that no calendar has, a number that no table holds or a text in the place
of one. A file is read only up to a size, and never one that is no regular file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ..base import tomltext
from ..base.errors import InputError, one_line
from ..base.files import read_small
from ..base.texts import decoded, is_unicode, without_mark
from ..config.schema import Config
from ..config.settings import config_from_dict

RECORD_FORMAT = 1
LOCAL = "local"
"""The backend of processes of some machine."""
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Times that every time zone, table and chart can hold: in nanoseconds they end in 2262."""
LARGEST = 1e100
"""Of a figure: its square is a number too."""

NUMBERS = frozenset({
    "angle_error_mean", "angle_error_mean_unaligned", "angle_error_median", "angle_error_median_unaligned",
    "confidence_weighted_error_mean", "distance_mae", "distance_rmse", "frame_angle_error_mean",
    "frame_angle_error_median", "frame_share_below_10_degrees", "frame_share_below_5_degrees", "fsc_0.143_angstrom",
    "fsc_0.5_angstrom", "mirrored", "neighbour_recall_at_10", "noise_variance", "particles", "particles_left_out",
    "recovery_loss", "recovery_pairs", "refined_angle_error_mean", "refined_angle_error_median",
    "refined_confidence_weighted_error_mean", "refined_frame_angle_error_mean", "refined_frame_angle_error_median",
    "refined_frame_share_below_10_degrees", "refined_frame_share_below_5_degrees", "refined_fsc_0.143_angstrom",
    "refined_fsc_0.5_angstrom", "refined_shift_error_median_px", "shift_error_median_px", "snr",
})  # fmt: skip
"""The metrics of PoseLab's own stages: numbers, truth values or unknown. Those of other versions may be words."""
_LONGEST_WORD = 1000

Status = Literal["running", "finished", "failed", "cancelled", "interrupted", "damaged", "newer"]
"""``interrupted``: its process ended without a result. ``damaged``: the directory cannot be read as a run.
``newer``: written by a later PoseLab in a way that this one cannot read."""

Model = TypeVar("Model", bound=BaseModel)


def _of_our_time(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"{value} is no time of a run; wanted one from {EARLIEST:%Y} to {LATEST:%Y}")
    return value


def is_figure(value: Any) -> bool:
    """Whether something is a number that tables, sums and charts can hold, or a truth value."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value) and abs(value) <= LARGEST


def _metrics(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if value is None or is_figure(value):
            continue
        word = isinstance(value, str) and len(value) <= _LONGEST_WORD
        if name in NUMBERS or not word:
            wanted = "a number" if name in NUMBERS else "a number or a word"
            problem = f"{one_line(name, 60)} is {one_line(repr(value), 40)}"
            raise ValueError(f"{problem}; wanted {wanted} within ±{LARGEST:g}")
    return values


def _names(value: dict[str, Any]) -> dict[str, Any]:
    names = value.get("gpus", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("gpus; wanted a list of names")
    return value


Word = Annotated[str, Field(max_length=_LONGEST_WORD)]
Moment = Annotated[AwareDatetime, AfterValidator(_of_our_time)]
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]


class BackendHandle(BaseModel):
    """The name of the backend that runs an experiment, and its handle of the run: plain values."""

    model_config = ConfigDict(frozen=True)
    name: str
    handle: dict[str, Any]

    @classmethod
    def local(cls, host: str, pid: int, process_started: float | None, **where: str | None) -> BackendHandle:
        """A process of some machine. ``where``: its ``kernel`` and ``process_space``, where they are known."""
        return cls(name=LOCAL, handle={"host": host, "pid": pid, "process_started": process_started, **where})


class RunFile(BaseModel):
    """``run.json``. ``process_started``: see :func:`base.environment.process_started`. ``git`` may be None.

    ``folder`` is the working folder of its process (None in records without it). ``sweep`` is the id that the runs of
    one sweep share. ``launched_by`` is who launched it (None in records
    without it; ``user`` is the operating system's user of its process). ``science`` is the version of the code's
    results, see :data:`config.history.SCIENCE`. ``devices`` are those of :mod:`experiment.devices` (None in records
    without them; ``hardware`` lists the available ones).
    """

    model_config = ConfigDict(frozen=True)
    format: Number
    run_id: Word
    created: Moment
    name: Word | None
    sweep: Word | None = None
    command: list[str]
    seed: Number
    engine_version: Word
    python: Word
    platform: Word
    packages: dict[str, str]
    hardware: Annotated[dict[str, Any], AfterValidator(_names)]
    git: dict[str, Any] | None
    user: Word
    folder: Word | None = None
    host: Word
    pid: Number
    process_started: Annotated[float, Field(allow_inf_nan=False)] | None
    launched_by: Word | None = None
    backend: BackendHandle | None = None
    science: Number = 1
    devices: dict[str, str] | None = None

    @property
    def executor(self) -> BackendHandle:
        """The backend. Records without one are of local processes, whose facts are in the record itself."""
        if self.backend is None:
            return BackendHandle.local(self.host, self.pid, self.process_started)
        if self.backend.name != LOCAL:
            return self.backend
        where = {key: self.backend.handle.get(key) for key in ("kernel", "process_space")}
        return BackendHandle.local(self.host, self.pid, self.process_started, **where)


class ResultFile(BaseModel):
    """``result.json``. Seconds are wall time; a metric that is None was not finite."""

    model_config = ConfigDict(frozen=True)
    status: Literal["finished", "failed", "cancelled"]
    message: str
    ended: Moment
    metrics: Annotated[dict[str, Any], AfterValidator(_metrics)]
    seconds: dict[str, Seconds]
    total_seconds: Seconds
    peak_memory_mb: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
    reused: list[str]


class UnreadableError(Exception):
    """A file of a record cannot be read: the ``status`` that it gives its run, and why."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def read_model(kind: type[Model], path: Path, written_in: int | None = None) -> Model | None:
    """The file as that model; None when missing. ``written_in``: the record format, where another file says it.

    Raises UnreadableError.
    """
    try:
        text = without_mark(read_small(path), path.name)
    except FileNotFoundError:
        if path.is_symlink():
            raise UnreadableError("damaged", f"{path.name} is a link that leads nowhere") from None
        return None
    except OSError as error:
        raise UnreadableError("damaged", f"{path.name} cannot be read: {one_line(error.strerror or error)}") from error
    except InputError as error:
        raise UnreadableError("damaged", f"{path.name} is damaged: {one_line(error)}") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        version = written_in if written_in is not None else _format_of(text)
        if version is not None and version > RECORD_FORMAT:
            message = f"{path.name} is of record format {version}, newer than {RECORD_FORMAT} here; update PoseLab"
            raise UnreadableError("newer", message) from None
        raise UnreadableError("damaged", f"{path.name} is damaged: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """What is wrong first in a file, on one line: where, and what was wanted."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = "".join(f"{one_line(part, 60)}: " for part in first["loc"])
    return one_line(f"{where}{first['msg'].removeprefix('Value error, ')}")


def read_config(
    path: Path, complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda table: table
) -> tuple[Config | dict[str, Any], str]:
    """The configuration and, where it is none for this version, what of it can be used as plain tables, and why.

    ``complete`` adds the values that a run of an earlier version used, see :func:`config.history.completed`.
    """
    try:
        table = tomltext.parse(decoded(read_small(path), path.name))
    except OSError as error:
        return {}, f"{path.name} cannot be read: {one_line(error.strerror or error)}"
    except (InputError, tomltext.TomlError) as error:
        return {}, f"{path.name} is damaged: {one_line(error)}"
    try:
        return config_from_dict(dict(complete(table))), ""
    except InputError as error:
        return _usable(table), f"{path.name}: {one_line(error)}"


def _format_of(text: bytes) -> int | None:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = table.get("format") if isinstance(table, dict) else None
    return version if isinstance(version, int) and version < 2**63 else None


def _usable(table: dict[str, Any]) -> dict[str, Any]:
    """A table that is no configuration without the values that are wrong, so that it can be shown and compared.

    What only this version does not know stays, where it is a word, a figure, or lists and tables of them.
    """
    try:
        Config.model_validate(table)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            match problem["loc"][:2]:
                case (str(section), key) if problem["type"] != "extra_forbidden" and isinstance(
                    table.get(section), dict
                ):
                    table[section].pop(key, None)
                case (str(section),) if problem["type"] not in ("extra_forbidden", "value_error"):
                    table.pop(section, None)
    return _plain_part(table)


def _plain_part(table: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """Words, figures, lists and tables of them, not nested deeper than configurations are."""
    kept: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            kept |= {key: _plain_part(value, depth - 1)} if depth else {}
        elif _is_plain(value, depth):
            kept[key] = value
    return kept


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return is_unicode(value) if isinstance(value, str) else is_figure(value)
