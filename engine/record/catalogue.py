"""The catalogue of all runs: a DuckDB file over their directories. The only module with SQL.

The directories are the record; the catalogue answers queries about all of them quickly and is never the only copy.
Every query first compares the directories with the catalogue (by the times and sizes of the files that matter) and
updates what has changed, so that it needs no notification; a missing, damaged or outdated file is rebuilt.

DuckDB lets one process at a time open a file for writing. So each query opens it, briefly, and closes it; if it is in
use, the query retries for at most a second, then answers from the directories alone. On a file system without locks
there is no catalogue, and each process keeps the rows that it has read in memory.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from ..base import access
from ..base.errors import InputError, one_line
from ..base.files import opened, plain, writing
from ..base.paths import require_reachable
from ..base.texts import is_unicode
from ..config.schema import Config
from ..config.settings import config_to_dict
from .annotations import FILENAME as ANNOTATIONS
from .reading import Status, is_figure
from .runrecord import RUN_ID, RunRecord, check_run_id, is_run, read_run

FILENAME = "catalogue.duckdb"
_SCHEMA = 4  # raise it with every change of _COLUMNS or of their meaning: catalogues of other versions are rebuilt
_WAIT_S = 1.0
_SIGNED = ("run.json", "config.toml", "result.json", ANNOTATIONS)

Notice = Callable[[str], None]
Row = dict[str, Any]
Answer = TypeVar("Answer")

log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()
_remembered: dict[Path, dict[str, Row]] = {}

# What a row holds: SQL type and where it comes from, an attribute of RunRecord or of its annotations or, with a dot, a
# configuration key.
_COLUMNS: dict[str, tuple[str, str]] = {
    "run_id": ("VARCHAR", "run_id"),
    "status": ("VARCHAR", "status"),
    "name": ("VARCHAR", "name"),
    "sweep": ("VARCHAR", "sweep"),
    "tags": ("JSON", "tags"),
    "starred": ("BOOLEAN", "starred"),
    "note": ("VARCHAR", "note"),
    "archived": ("BOOLEAN", "archived"),
    "message": ("VARCHAR", "message"),
    "created": ("TIMESTAMP", "created"),
    "ended": ("TIMESTAMP", "ended"),
    "total_seconds": ("DOUBLE", "total_seconds"),
    "peak_memory_mb": ("DOUBLE", "peak_memory_mb"),
    "user": ("VARCHAR", "user"),
    "launched_by": ("VARCHAR", "launched_by"),
    "science": ("BIGINT", "science"),
    "host": ("VARCHAR", "host"),
    "seed": ("BIGINT", ".seed"),
    "source": ("VARCHAR", "volume.source"),
    "coverage": ("VARCHAR", "projections.coverage"),
    "sampling": ("VARCHAR", "projections.sampling"),
    "count": ("BIGINT", "projections.count"),
    "noise_variance": ("DOUBLE", "projections.noise_variance"),
    "snr": ("DOUBLE", "projections.snr"),
    "max_shift": ("DOUBLE", "projections.max_shift"),
    "distance_method": ("VARCHAR", "distance.method"),
    "pairs_strategy": ("VARCHAR", "pairs.strategy"),
    "metrics": ("JSON", "metrics"),
    "seconds": ("JSON", "seconds"),
    "reused": ("JSON", "reused"),
    "config": ("JSON", "config"),
}
_STORED = {name: kind for name, (kind, _) in _COLUMNS.items()} | {"signature": "VARCHAR", "settled": "BOOLEAN"}


def list_runs(
    runs_dir: Path,
    *,
    statuses: Sequence[Status] | None = None,
    archived: bool | None = False,
    limit: int | None = None,
    on_notice: Notice | None = None,
) -> list[Row]:
    """The runs in ``runs_dir``, newest first, one dict each; ``archived`` ones too (None) or no others (True).

    Keys: ``run_id, status, name, sweep, note, message, created, ended`` (datetimes, UTC), ``total_seconds,
    peak_memory_mb, user, launched_by, science, host, seed, source, coverage, sampling, count, noise_variance, snr,
    max_shift, distance_method, pairs_strategy``, the flags ``starred`` and ``archived``, the lists ``tags`` and
    ``reused``, the dicts ``metrics``, ``seconds`` (by stage) and ``config``, and ``number``: 1, 2, ... in the order in
    which all runs were created. What is unknown is None. ``on_notice`` is called with one line when the catalogue was
    rebuilt or could not be used.
    """
    conditions, values = ["TRUE"], list[Any]()
    if statuses is not None:
        conditions.append("status IN (SELECT unnest(?::VARCHAR[]))")
        values.append(list(statuses))
    if archived is not None:
        conditions.append("archived = ?")
        values.append(archived)
    tail = f"WHERE {' AND '.join(conditions)} ORDER BY created DESC NULLS LAST, run_id DESC"
    if limit is not None:
        tail += " LIMIT ?"
        values.append(limit)
    return _ask(Path(runs_dir), lambda connection: _select(connection, tail, values), on_notice)


def get_run(runs_dir: Path, run_id: str, on_notice: Notice | None = None) -> Row:
    """One run as in :func:`list_runs`; InputError for an invalid or unknown run id."""
    check_run_id(run_id)
    rows = _ask(Path(runs_dir), lambda connection: _select(connection, "WHERE run_id = ?", [run_id]), on_notice)
    if not rows:
        raise InputError(f"no run {run_id} in {runs_dir}; `runs list` shows those there are")
    return rows[0]


def sync(runs_dir: Path, on_notice: Notice | None = None) -> bool:
    """Update the catalogue from the directories; False if it could not be opened within a second.

    For runs that begin or end. It never raises because of the catalogue: the next query makes up for it.
    """
    try:
        _synchronised(Path(runs_dir), lambda connection: None, on_notice)
    except (_BusyError, duckdb.Error, OSError) as error:
        log.info("the catalogue of %s is left for later: %s", runs_dir, error)
        return False
    return True


def rebuild(runs_dir: Path) -> int:
    """Rebuild the catalogue from the directories alone, beside the old one, then in its place; the number of its runs.

    Raises InputError when it cannot be written.
    """
    try:
        return len(_rebuild(Path(runs_dir)))
    except (OSError, duckdb.Error) as error:
        raise InputError(f"cannot write the catalogue {Path(runs_dir) / FILENAME}: {error}") from error


class _BusyError(Exception):
    """The catalogue was in use for the whole waiting time."""


def _ask(runs_dir: Path, query: Callable[[duckdb.DuckDBPyConnection], Answer], on_notice: Notice | None) -> Answer:
    """Answer from the catalogue or, when it cannot be used, from the directories."""
    try:
        if runs_dir.exists():
            return _synchronised(runs_dir, query, on_notice)
    except _BusyError as error:
        log.info("%s; the directories are read instead", error)
    except (duckdb.Error, OSError) as error:
        why = access.reason(error, runs_dir / FILENAME) if isinstance(error, OSError) else one_line(error)
        _notify(f"{FILENAME} cannot be used ({why}); the run directories are read instead", on_notice)
    connection = duckdb.connect(":memory:")
    try:
        _create(connection)
        _insert(connection, _rows_without_catalogue(runs_dir))
        return query(connection)
    finally:
        connection.close()


def _rows_without_catalogue(runs_dir: Path) -> list[Row]:
    """All rows, those that have not changed as this process has read them before."""
    known = _remembered.get(runs_dir, {})
    states = {run_id: (row["signature"], row["status"], row["settled"]) for run_id, row in known.items()}
    changed, gone = _changes(runs_dir, states)
    rows = {run_id: row for run_id, row in known.items() if run_id not in gone}
    rows |= {row["run_id"]: row for row in changed}
    if len(_remembered) > 3:
        _remembered.clear()
    _remembered[runs_dir] = rows
    return list(rows.values())


def _synchronised(
    runs_dir: Path, query: Callable[[duckdb.DuckDBPyConnection], Answer], on_notice: Notice | None
) -> Answer:
    until = time.monotonic() + _WAIT_S
    if (runs_dir / FILENAME).exists():
        try:
            return _attempt(runs_dir, query, until)
        except duckdb.Error as error:
            problem = f"was damaged or of another version ({one_line(error)})"
    else:
        problem = "was missing"
    _require_locks(runs_dir)
    statuses = _rebuild(runs_dir)
    # With at most one ended run this is the first use of a folder, not a loss.
    if problem != "was missing" or sum(status != "running" for status in statuses) > 1:
        _notify(f"{FILENAME} {problem}; made anew from {len(statuses)} run directories, nothing is lost", on_notice)
    return _attempt(runs_dir, query, until)


def _attempt(runs_dir: Path, query: Callable[[duckdb.DuckDBPyConnection], Answer], until: float) -> Answer:
    """Query at once, as mostly nothing has changed; else read changes, the file closed, insert them, query again."""
    with _opened(runs_dir, until) as connection:
        if connection.execute("SELECT schema FROM version").fetchall() != [(_SCHEMA,)]:
            raise duckdb.DataError("its schema is another version's")
        rows = connection.execute("SELECT run_id, signature, status, settled FROM runs").fetchall()
        answer = query(connection)
    changed, gone = _changes(runs_dir, {run_id: (signature, status, done) for run_id, signature, status, done in rows})
    if not changed and not gone:
        return answer
    with _opened(runs_dir, until) as connection:
        connection.begin()
        connection.execute("DELETE FROM runs WHERE run_id IN (SELECT unnest(?::VARCHAR[]))", [gone])
        _insert(connection, changed)
        connection.commit()
        return query(connection)


@contextmanager
def _opened(runs_dir: Path, until: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """The catalogue file, locked against other threads and processes."""
    if not _one_at_a_time.acquire(timeout=max(0.0, until - time.monotonic())):
        raise _BusyError(f"{FILENAME} is in use by another thread")
    try:
        _require_file(runs_dir / FILENAME)
        while True:
            try:
                connection = duckdb.connect(_nameable(runs_dir / FILENAME))
                break
            except duckdb.IOException as error:
                if "Permission denied" in str(error) or "Read-only file system" in str(error):
                    raise PermissionError(errno.EACCES, "Permission denied", str(runs_dir / FILENAME)) from error
                if "lock on file" not in str(error):
                    raise
                _require_locks(runs_dir)
                if time.monotonic() > until:
                    raise _BusyError(f"{FILENAME} is in use by another process") from error
                time.sleep(random.uniform(0.005, 0.03))
        try:
            yield connection
        finally:
            connection.close()
    finally:
        _one_at_a_time.release()


def _require_file(path: Path) -> None:
    """Raise duckdb.Error for a pipe, a device or a link to nowhere, which are replaced: DuckDB would wait for them."""
    try:
        opened(path).close()
    except (FileNotFoundError, PermissionError):
        return
    except OSError as error:
        raise duckdb.DataError(error.strerror or str(error)) from error


def _require_locks(runs_dir: Path) -> None:
    if not access.has_locks(runs_dir):
        raise _BusyError(f"{FILENAME} cannot be kept on a file system without locks")


def _rebuild(runs_dir: Path) -> list[str]:
    """Build and put in place; the statuses of its runs."""
    rows, _ = _changes(runs_dir, {})
    with writing(runs_dir / FILENAME) as aside:
        connection = duckdb.connect(_nameable(aside))
        try:
            _create(connection)
            _insert(connection, rows)
        finally:
            connection.close()
            aside.with_name(f"{aside.name}.wal").unlink(missing_ok=True)  # closing leaves one only if it fails
        access.share(aside)
        (runs_dir / f"{FILENAME}.wal").unlink(missing_ok=True)  # it belongs to the replaced file
    return [row["status"] for row in rows]


def _nameable(path: Path) -> Path:
    if not is_unicode(str(path)):
        raise OSError(f"DuckDB cannot open files in {str(path.parent)!r}, whose name has bytes that are not UTF-8")
    return path


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in _STORED.items())
    connection.execute(f"CREATE TABLE runs ({columns}, PRIMARY KEY (run_id))")
    connection.execute("CREATE TABLE version (schema INTEGER)")
    connection.execute("INSERT INTO version VALUES (?)", [_SCHEMA])


def _insert(connection: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    """All rows in one statement, one list per column: executemany takes 10 ms per row."""
    columns = ", ".join(f"unnest(?::{kind}[])" for kind in _STORED.values())
    values = [[row[name] for row in rows] for name in _STORED]
    connection.execute(f"INSERT OR REPLACE INTO runs SELECT {columns}", values)


def _select(connection: duckdb.DuckDBPyConnection, tail: str, values: list[Any]) -> list[Row]:
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    counted = "SELECT *, row_number() OVER (ORDER BY created NULLS LAST, run_id) AS number FROM runs"
    rows = connection.execute(f"SELECT {names}, number FROM ({counted}) {tail}", values).fetchall()
    kinds = {name: kind for name, (kind, _) in _COLUMNS.items()} | {"number": "BIGINT"}
    return [
        {name: _from_sql(name, value, kind) for (name, kind), value in zip(kinds.items(), row, strict=True)}
        for row in rows
    ]


def _changes(runs_dir: Path, known: dict[str, tuple[str, str, bool]]) -> tuple[list[Row], list[str]]:
    """Rows of directories that differ from ``known`` (signature, status, settled), and ids that no longer exist."""
    present = _signatures(runs_dir)
    rows = []
    for run_id, signature in present.items():
        old_signature, old_status, settled = known.get(run_id, ("", "", False))
        if settled and signature == old_signature:
            continue
        try:
            record = read_run(runs_dir / run_id)
        except InputError:
            continue  # removed since it was listed; the next query notices
        if (signature, record.status) != (old_signature, old_status):
            rows.append(_row(record, signature))
    return rows, [run_id for run_id in known if run_id not in present]


def _signatures(runs_dir: Path) -> dict[str, str]:
    """For each run directory a signature that changes when its record does, without opening a file."""
    try:
        require_reachable(runs_dir)
        with os.scandir(runs_dir) as entries:
            names = [entry.name for entry in entries if RUN_ID.fullmatch(entry.name) and is_run(Path(entry))]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"runs directory {runs_dir}: {error.strerror}; wanted a folder that can be read") from error
    return {name: "|".join(_signature(f"{runs_dir}/{name}/{filename}") for filename in _SIGNED) for name in names}


def _signature(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_mtime_ns}.{status.st_size}.{status.st_ctime_ns}"


def _row(record: RunRecord, signature: str) -> Row:
    table = config_to_dict(record.config) if isinstance(record.config, Config) else record.config
    values = vars(record.annotations) | vars(record) | {"config": table}
    row: Row = {}
    for name, (kind, origin) in _COLUMNS.items():
        row[name] = _to_sql(_setting(table, origin) if "." in origin else values[origin], kind)
    return row | {"signature": signature, "settled": record.settled}


def _setting(table: dict[str, Any], key: str) -> Any:
    section, _, leaf = key.partition(".")
    inside = table.get(section) if section else table
    return inside.get(leaf) if isinstance(inside, dict) else None


def _to_sql(value: Any, kind: str) -> Any:
    """What the column can hold; None where a table that is not a configuration has another type there."""
    number = is_figure(value) and not isinstance(value, bool)
    match kind:
        case "JSON":
            return json.dumps(plain(value), default=str)
        case "TIMESTAMP":
            return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else None
        case "DOUBLE":
            return float(value) if number else None
        case "BOOLEAN":
            return bool(value)
        case "BIGINT":
            return int(value) if number and abs(value) < 2**63 else None
        case _:
            return value if value is None or isinstance(value, str) else json.dumps(plain(value), default=str)


def _from_sql(name: str, value: Any, kind: str) -> Any:
    if kind == "JSON":
        try:
            content = json.loads(value)
        except (ValueError, TypeError):
            content = None
        if not isinstance(content, list if name in ("tags", "reused") else dict):
            raise duckdb.DataError(f"a run's {name} are {one_line(value, 40)}")
        return content
    if kind == "TIMESTAMP" and value is not None:
        return value.replace(tzinfo=UTC)
    return value


def _notify(notice: str, on_notice: Notice | None) -> None:
    log.warning(notice)
    if on_notice is not None:
        on_notice(notice)
