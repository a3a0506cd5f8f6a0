"""Tables of docs/scaling.md."""

from typing import Any

from pipeline.errors import counted

_NAMES = {
    "": "not reached",
    "client": "client",
    "reads": "reading requests",
    "writes": "writing requests",
    "bytes": "bytes of the disk",
    "decoders": "decoders",
    "latency": "latency of requests",
}
_SHOWN_WORKERS = (1, 4, 16, 64, 100, 200, 400)


def constants_table(recorded: dict[str, Any]) -> str:
    """Return every constant with its source, and the real run beside the simulated one."""
    measured, ran = recorded["measured"], recorded["validation"]
    rows = ["| constant | value | source |", "|---|---|---|"]
    for name, found in recorded["constants"].items():
        rows.append(f"| `{name}` | {found['value']:.4g} | {found['source']} |")
    about = (
        f"{measured['cpu']}, {measured['cores']} cores; constants of commit {measured['commit']}, "
        f"{measured['date'][:10]}; simulated at commit {recorded['commit']}, {recorded['date'][:10]}."
    )
    check = (
        f"Two real Dask workers with {ran['num_blocks']} blocks that sleep ({ran['device_seconds']:g} s one "
        f"at a time, then {ran['write_seconds']:g} s): {ran['seconds']:.2f} s. The same run simulated: "
        f"{ran['simulated_seconds']:.2f} s."
    )
    return "\n".join([about, "", *rows, "", check])


def requests_table(recorded: dict[str, Any]) -> str:
    """Return the counted requests of each phase of a run."""
    rows = ["| phase | reading | writing | MB written |", "|---|---|---|---|"]
    for phase, found in recorded["measured"]["requests"].items():
        fixed, more = found["fixed"], found.get("per block", {})
        cells = [_with_blocks(fixed[kind], more.get(kind, 0)) for kind in ("reads", "writes")]
        size = f"{fixed.get('bytes', 0) / 1e6:.1f}" if fixed.get("bytes", 0) > 1e6 else "-"  # noqa: PLR2004
        rows.append(f"| {phase} | {cells[0]} | {cells[1]} | {size} |")
    return "\n".join(rows)


def _with_blocks(fixed: float, per_block: float) -> str:
    return f"{fixed:g}" + (f" + {per_block:g} for each block" if per_block else "")


def limits_table(recorded: dict[str, Any]) -> str:
    """Return the most GPUs that each shared resource serves."""
    speed = recorded["constants"]["clips_per_second"]["value"]
    rows = [f"| resource | blocks/s | GPUs of {speed:g} clips/s |", "|---|---|---|"]
    for row in sorted(recorded["limits"], key=lambda row: row.get("most_workers", 0)):
        if "share" in row:
            rows.append(f"| {row['what']} | - | {row['share']:.2f} |")
        else:
            blocks = _rate(row["blocks_per_second"])
            rows.append(f"| {row['what']} | {blocks} | {row['most_workers']:,.0f} |")
    return "\n".join(rows)


def _rate(per_second: float | None) -> str:
    """Return a rate with three digits, or more before the point."""
    if per_second is None:
        return "-"
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def serial_table(recorded: dict[str, Any]) -> str:
    """Return the times in which no GPU works, beside the time of 100 GPUs."""
    rows = ["| cache on | clips | plan, s | plan of a resumed run, s | report, s | 100 GPUs, s |"]
    rows.append("|---|---|---|---|---|---|")
    names = ("plan_seconds", "resumed_plan_seconds", "end_seconds", "seconds_of_100_workers")
    for row in recorded["serial"]:
        cells = " | ".join(f"{row[name]:,.0f}" for name in names)
        rows.append(f"| {row['place']} | {row['clips']} | {cells} |")
    return "\n".join(rows)


def workers_table(recorded: dict[str, Any]) -> str:
    """Return the efficiency by number of GPUs, of the command and of its blocks alone."""
    heads = [counted(number, "GPU") for number in _SHOWN_WORKERS]
    rows = [f"| cache on | clips | {' | '.join(heads)} |"]
    rows.append(f"|---|---|{'---|' * len(_SHOWN_WORKERS)}")
    found: dict[tuple[str, str], dict[int, str]] = {}
    for row in recorded["by_workers"]:
        cell = f"{row['efficiency']:.0%} ({row['block_efficiency']:.0%})"
        found.setdefault((row["place"], row["clips"]), {})[row["workers"]] = cell
    for (place, clips), cells in found.items():
        rows.append(f"| {place} | {clips} | {' | '.join(cells[n] for n in _SHOWN_WORKERS)} |")
    return "\n".join(rows)


def speed_table(recorded: dict[str, Any]) -> str:
    """Return the most GPUs that are used by 90%, by their speed."""
    speeds = list(dict.fromkeys(row["clips_per_second"] for row in recorded["by_speed"]))
    rows = [f"| cache on | {' | '.join(f'{speed} clips/s' for speed in speeds)} |"]
    rows.append(f"|---|{'---|' * len(speeds)}")
    for place in dict.fromkeys(row["place"] for row in recorded["by_speed"]):
        found = [row for row in recorded["by_speed"] if row["place"] == place]
        cells = [
            f"{row['most_workers']}" + (f" ({_NAMES[row['then']]})" if row["then"] else "") for row in found
        ]
        name = "a store without cost" if place == "none" else place
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def remedies_table(recorded: dict[str, Any]) -> str:
    """Return the efficiency after one change after the other."""
    numbers = list(dict.fromkeys(row["workers"] for row in recorded["by_remedy"]))
    rows = [f"| with this and all changes above | {' | '.join(counted(n, 'GPU') for n in numbers)} |"]
    rows.append(f"|---|{'---|' * len(numbers)}")
    for change in dict.fromkeys(row["change"] for row in recorded["by_remedy"]):
        found = [row for row in recorded["by_remedy"] if row["change"] == change]
        cells = [f"{row['efficiency']:.0%} ({row['block_efficiency']:.0%})" for row in found]
        rows.append(f"| {change} | {' | '.join(cells)} |")
    return "\n".join(rows)


def stragglers_table(recorded: dict[str, Any]) -> str:
    """Return the efficiency and the tail with unequal blocks and slow workers, in one queue and in shards."""
    queues = list(dict.fromkeys(row["queue"] for row in recorded["by_straggler"]))
    rows = [f"| | {' | '.join(queues)} | tail, s: {' | tail, s: '.join(queues)} |"]
    rows.append(f"|---|{'---|' * (2 * len(queues))}")
    for what in dict.fromkeys(row["what"] for row in recorded["by_straggler"]):
        found = [row for row in recorded["by_straggler"] if row["what"] == what]
        cells = [f"{row['block_efficiency']:.0%}" for row in found]
        cells += [f"{row['tail_seconds']:.1f}" for row in found]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(rows)


def life_table(recorded: dict[str, Any]) -> str:
    """Return the efficiency and the losses when nodes vanish."""
    rows = [
        "| mean life of a node | GPUs of a node | nodes lost | clips computed again | blocks left pending | "
        "efficiency | GPUs that are there |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in recorded["by_life"]:
        life = "they stay" if row["hours"] is None else f"{row['hours']:g} h"
        rows.append(
            f"| {life} | {row['node_workers']} | {row['deaths']:.0f} | {row['lost_clips']:,.0f} | "
            f"{row['given_up']:.1f} | {row['block_efficiency']:.1%} | {row['ready']:.1%} |"
        )
    seeds = max(row["seeds"] for row in recorded["by_life"])
    return "\n".join([*rows, "", f"Means over {counted(seeds, 'seed')}."])


SCALING_TABLES = {
    "scaling-constants": constants_table,
    "scaling-requests": requests_table,
    "scaling-limits": limits_table,
    "scaling-serial": serial_table,
    "scaling-workers": workers_table,
    "scaling-speed": speed_table,
    "scaling-remedies": remedies_table,
    "scaling-stragglers": stragglers_table,
    "scaling-life": life_table,
}
"""Tables by their marks; all are from benchmarks/results/scaling.json."""
