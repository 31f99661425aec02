"""What EventHub's processes say of themselves: their histograms, as means over the time between two readings.

In: health ports. Out: for each process and each `eventhub_…` histogram: how many values, their mean.
Must stay true: a process that does not answer is left out, never guessed.
"""

import asyncio
from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Sums = Mapping[tuple[str, str], tuple[float, float]]
"""(process, metric with its labels) -> (count, sum)."""


async def read_histograms(ports: Mapping[str, int]) -> Sums:
    """Count and sum of every histogram of every process."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        texts = await asyncio.gather(*(_metrics(session, port) for port in ports.values()))
    for process, text in zip(ports, texts, strict=True):
        for name, sums in _sums(text).items():
            found[process, name] = sums
    return found


async def read_gauge(ports: Mapping[str, int], name: str) -> float:
    """The sum of a gauge over the processes that have it."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        texts = await asyncio.gather(*(_metrics(session, port) for port in ports.values()))
    return sum(
        sample.value
        for text in texts
        for family in text_string_to_metric_families(text)
        if family.name == name
        for sample in family.samples
    )


async def _metrics(session: aiohttp.ClientSession, port: int) -> str:
    try:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            return await answer.text() if answer.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError):
        return ""


def _sums(text: str) -> dict[str, tuple[float, float]]:
    counts: dict[str, float] = {}
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if family.type != "histogram" or not family.name.startswith("eventhub_"):
            continue
        for sample in family.samples:
            labels = ",".join(value for key, value in sorted(sample.labels.items()) if key != "le")
            name = family.name.removeprefix("eventhub_") + (f"[{labels}]" if labels else "")
            if sample.name.endswith("_count"):
                counts[name] = sample.value
            elif sample.name.endswith("_sum"):
                totals[name] = sample.value
    return {name: (count, totals.get(name, 0.0)) for name, count in counts.items()}


def means(before: Sums, after: Sums) -> dict[str, dict[str, dict[str, float]]]:
    """process -> metric -> {count, mean} of what was added between the readings; times in ms."""
    told: dict[str, dict[str, dict[str, float]]] = {}
    for (process, name), (count, total) in sorted(after.items()):
        earlier_count, earlier_total = before.get((process, name), (0.0, 0.0))
        if count < earlier_count:  # The process was restarted in between.
            earlier_count = earlier_total = 0.0
        if (added := count - earlier_count) > 0:
            mean = (total - earlier_total) / added
            metric = name.replace("_seconds", "_ms") if "_seconds" in name else name
            scale = 1000 if "_seconds" in name else 1
            told.setdefault(process, {})[metric] = {"count": added, "mean": round(mean * scale, 3)}
    return told
