"""From measured runs to tables: one summary a row, written as Markdown for people and as CSV for everything else."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.benchmarks.measuring import Result, mean_and_sd
from tests.benchmarks.rows import METRICS, WALL_LIMIT_S, Row, cramer_rao_bound, published

_MEGABYTES_A_GIGABYTE = 1024


@dataclass(frozen=True, eq=False)
class Summary:
    """A row's runs, one a seed, taken together.

    ``comparable`` is false where the volume is not the published one and matters; published figures, bounds and bars
    then say nothing.
    """

    row: Row
    results: Sequence[Result]
    comparable: bool

    @cached_property
    def figures(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation over the finished runs of each metric, of wall and CPU seconds and memory."""
        finished = [{**result, **result["metrics"]} for result in self.results if result["status"] == "finished"]
        names = [*METRICS, "wall_s", "cpu_s", "peak_memory_mb"]
        values = {name: [run[name] for run in finished if run.get(name) is not None] for name in names}
        return {name: mean_and_sd(known) for name, known in values.items() if known}

    @cached_property
    def published(self) -> dict[str, float]:
        """What was published for this row."""
        return published(self.row) if self.comparable else {}

    @property
    def bound(self) -> float | None:
        """Least median angle error that is possible, rad."""
        return cramer_rao_bound(self.row) if self.comparable else None

    @property
    def failures(self) -> list[str]:
        """Why runs failed, one message each."""
        return [r["message"] or r["status"] for r in self.results if r["status"] != "finished"]

    @property
    def ratio(self) -> float | None:
        """Published over our median angle error: how many times smaller ours is."""
        ours, theirs = self.figures.get("angle_error_median"), self.published.get("angle_error_median")
        return theirs / ours[0] if ours and theirs and ours[0] > 0 else None

    @property
    def shortfalls(self) -> list[str]:
        """What was missed of the row's bars, in words; empty when all are met."""
        missed = [f"{len(self.failures)} of {len(self.results)} failed: {self.failures[0]}"] if self.failures else []
        limits = [(bar.metric, *METRICS[bar.metric], bar.at_most) for bar in self.row.bars]
        for name, symbol, unit, limit in [*limits, ("wall_s", "wall", "s", WALL_LIMIT_S)]:
            mean, _ = self.figures.get(name, (math.nan, math.nan))
            if not mean <= limit and self.figures:
                missed.append(f"{symbol} is {number(mean)} {unit}, wanted at most {limit:g}")
        return missed


def markdown(summaries: Sequence[Summary], volume: str, settings: Sequence[str]) -> str:
    """Three tables (errors; bars, with what was missed, and the other figures; cost) and what they were measured on."""
    parts = [
        markdown_table(_ERROR_HEADINGS, [_error_cells(summary) for summary in summaries]),
        markdown_table(_OTHER_HEADINGS, [_other_cells(summary) for summary in summaries]),
        "\n".join(f"- {s.row.name}: {'; '.join(s.shortfalls)}" for s in summaries if _met(s) == "no"),
        markdown_table(_COST_HEADINGS, [_cost_cells(summary) for summary in summaries]),
        _footing(summaries, volume, settings),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def comma_separated(summaries: Sequence[Summary], volume: str, settings: Sequence[str]) -> str:
    """One line a row with everything that the Markdown has, unrounded."""
    lines = []
    for summary in summaries:
        row = summary.row
        line: dict[str, Any] = {
            "row": row.name,
            "volume": volume,
            "coverage": row.coverage,
            "sampling": row.sampling,
            "noise_variance": row.noise_variance,
            "max_shift_px": row.max_shift_px,
            "distance": row.distance,
            "perturbation_variance": row.perturbation_variance,
            "seeds": len(summary.results),
            "failed": len(summary.failures),
        }
        for name in METRICS:
            line[f"{name}_published"] = summary.published.get(name)
            line[f"{name}_mean"], line[f"{name}_sd"] = summary.figures.get(name, (None, None))
        bars = {bar.metric: bar for bar in row.bars} if summary.comparable else {}
        for name in ("angle_error_median", "distance_mae", "fsc_0.5_angstrom"):
            line[f"{name}_bar"] = bars[name].at_most if name in bars else None
            line[f"{name}_stretch"] = bars[name].stretch if name in bars else None
        line |= {"bound": summary.bound, "published_over_ours": summary.ratio}
        line |= {"met": _met(summary), "shortfalls": "; ".join(summary.shortfalls)}
        for name in ("wall_s", "cpu_s", "peak_memory_mb"):
            line[f"{name}_mean"], line[f"{name}_sd"] = summary.figures.get(name, (None, None))
        for name in ("cores", "date", "machine", "versions", "commit"):
            line[name] = "; ".join(_distinct(summary.results, name))
        line["settings"] = " ".join(settings)
        lines.append({key: "" if value is None or value != value else value for key, value in line.items()})
    return csv_text(lines)


def csv_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Mappings with the same keys as CSV with a heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(headings) + " |", "| --- |" + " ---: |" * (len(headings) - 1)]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


def number(value: float | None) -> str:
    """Three significant digits, or a dash for what there is not."""
    if value is None or math.isnan(value):
        return "–"
    if value != 0 and abs(value) < 1e-4:
        return f"{value:.1e}"
    rounded = float(f"{value:.2e}")
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{digits}f}"


def spread(figure: tuple[float, float] | None) -> str:
    """``mean ± sd``, the latter with as many decimals as the mean; or the mean alone of a single run."""
    if figure is None:
        return "–"
    mean, sd = figure
    if math.isnan(sd):
        return number(mean)
    text = number(mean)
    rounded = "" if "e" in text else f"{sd:,.{len(text.partition('.')[2])}f}"
    return f"{text} ± {rounded if rounded.strip('0.') or sd == 0 else f'{sd:.0e}'}"


def footing(results: Sequence[Result], settings: Sequence[str]) -> list[str]:
    """Sentences on when, where and with what results were measured."""
    dates = _distinct(results, "date")
    when = dates[0] if len(dates) == 1 else f"{min(dates)} to {max(dates)}"
    sentences = [
        f"Measured on {when}, {', '.join(_distinct(results, 'machine'))}, "
        f"cores: {', '.join(_distinct(results, 'cores'))}; {'; '.join(_distinct(results, 'versions'))}."
    ]
    commits = [commit for commit in _distinct(results, "commit") if commit]
    if commits:
        sentences.append(f"Commit {', '.join(commits)} (+: with changes).")
    sentences.append(f"Settings besides the default: `{' '.join(settings)}`." if settings else "Default settings.")
    return sentences


_ERROR_HEADINGS = (
    "coverage, sampling", "noise variance", "shift, px", "L_DE published, rad", "L_DE ours", "E_OR published, rad",
    "E_OR ours", "published / ours", "bound", "wall s",
)  # fmt: skip
_OTHER_HEADINGS = (
    "row", "E_OR at most, rad", "stretch", "all bars met", "L_OR published, rad²", "L_OR ours", "FSC 0.5 published, Å",
    "FSC 0.5 ours", "FSC 0.143 published, Å", "FSC 0.143 ours",
)  # fmt: skip
_COST_HEADINGS = ("row", "seeds", "wall s", "CPU s", "peak memory, GB")


def _error_cells(summary: Summary) -> list[str]:
    row, errors = summary.row, []
    for name in ("distance_mae", "angle_error_median"):
        errors += [number(summary.published.get(name)), spread(summary.figures.get(name))]
    return [
        row.label,
        *([f"{row.noise_variance:g}", f"{row.max_shift_px:g}", *errors] if row.learned else ["–"] * 4 + errors[2:]),
        number(summary.ratio),
        number(summary.bound),
        spread(summary.figures.get("wall_s")),
    ]


def _other_cells(summary: Summary) -> list[str]:
    bars = [bar for bar in summary.row.bars if bar.metric == "angle_error_median" and summary.comparable]
    cells = [
        summary.row.name,
        f"{bars[0].at_most:g}" if bars else "–",
        f"{bars[0].stretch:g}" if bars and bars[0].stretch else "–",
        _met(summary) or "–",
    ]
    for name in list(METRICS)[2:]:
        cells += [number(summary.published.get(name)), spread(summary.figures.get(name))]
    return cells


def _cost_cells(summary: Summary) -> list[str]:
    memory = summary.figures.get("peak_memory_mb")
    return [
        summary.row.name,
        f"{len(summary.results)}" + (f" ({len(summary.failures)} failed)" if summary.failures else ""),
        spread(summary.figures.get("wall_s")),
        spread(summary.figures.get("cpu_s")),
        number(memory[0] / _MEGABYTES_A_GIGABYTE if memory else None),
    ]


def _met(summary: Summary) -> str:
    """Whether all bars are met; empty where they say nothing about this volume, unless runs failed."""
    if not summary.comparable and not summary.failures:
        return ""
    return "no" if summary.shortfalls else "yes"


def _footing(summaries: Sequence[Summary], volume: str, settings: Sequence[str]) -> str:
    results = [result for summary in summaries for result in summary.results]
    sentences = [
        f"Volume {volume}; mean ± standard deviation over seeds. E_OR: median angle error after alignment over O(4); "
        "bound: Cramér-Rao, volume known, at this noise.",
        *footing(results, settings),
    ]
    if not all(summary.comparable for summary in summaries):
        sentences.append(
            "The volume is not the published map of 5J0N: noise has the signal-to-noise ratio that the published "
            "variance has there, and figures that depend on the volume stand without comparison."
        )
    return " ".join(sentences)


def _distinct(results: Sequence[Result], name: str) -> list[str]:
    return list(dict.fromkeys(str(result[name]) for result in results))
