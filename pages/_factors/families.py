"""Names for the families of runs offered on a factor's page. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence

from engine.analysis.comparison import Row, differences, in_words
from engine.analysis.factors import Factor
from pages._shared import text


def family_names(families: Sequence[Sequence[Row]], factor: Factor) -> list[str]:
    """A line for each family: the settings its runs have in common, and its numbers of levels and runs."""
    common = [_common(family[0], factor) for family in families]
    names = []
    for number, family in enumerate(families):
        levels = len({factor.value(row) for row in family})
        particulars = _particulars(number, common, families, factor)
        names.append(f"{common[number]}{particulars}: {levels:,} levels, {len(family):,} runs")
    return names


def _common(row: Row, factor: Factor) -> str:
    stack = row["config"].get("particles", {}).get("source")
    if isinstance(stack, str):
        return " · ".join([text.source_name(stack), f"map {text.source_name(row['source'] or '') or 'none'}"])
    settings, varied = row["config"].get("projections", {}), factor.keys
    parts = [text.source_name(row["source"] or ""), f"{row['count'] or 0:,} projections"]
    if "projections.coverage" not in varied:
        parts.append(f"{text.coverage(settings.get('coverage', 'full'))} coverage")
    if "projections.sampling" not in varied:
        parts.append(f"{text.SAMPLINGS.get(row['sampling'], row['sampling'])} sampling")
    if not factor.is_noise:
        level = text.noise(row["noise_variance"], row["snr"])
        parts.append("no noise" if level == "none" else f"noise {level}")
    spectrum = settings.get("noise_spectrum", "white")
    if spectrum != "white" and "projections.noise_spectrum" not in varied:
        parts.append(f"{spectrum} noise")
    if "projections.defocus" not in varied and (defocus := settings.get("defocus")) is not None:
        parts.append(f"CTF at {text.defocus(defocus)}")
    if row["max_shift"]:
        parts.append(f"shifts up to {text.digits(row['max_shift'])} px")
    return " · ".join([*parts, f"{row['distance_method']} distances"])


def _particulars(number: int, common: list[str], families: Sequence[Sequence[Row]], factor: Factor) -> str:
    """Settings that distinguish a family from others of the same name."""
    alike = [n for n, name in enumerate(common) if name == common[number]]
    own = alike.index(number)
    return "".join(
        f" · {key}={in_words(key, values[own])}"
        for key, values in differences([families[n][0] for n in alike]).items()
        if key != "seed" and key not in factor.keys
    )
