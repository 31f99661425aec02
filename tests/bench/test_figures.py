"""Figures: what is measured is what is reported, and a regression is seen."""

import os
import subprocess
import sys

import pytest

from scripts.benching.benches.sale import beside_floors
from scripts.benching.benches.scale import KEPT, summed_up
from scripts.benching.compare import compare, judge
from scripts.benching.loads.wrk import Answers
from scripts.benching.measurement.cpu import CpuReading, machine_seconds, read_cpu
from scripts.benching.measurement.measuring import Measured
from scripts.benching.measurement.memory_read import peak, resident
from scripts.benching.measurement.metrics import _sums, means

BURN = "sum(range(30_000_000))"
ANSWERS = Answers(
    12, 11, 2.0, {"201": 8, "409 SOLD_OUT": 2, "503 UNAVAILABLE": 1}, 1, 2, 3, 4, {"connectErrors": 0}, 0.1
)  # fmt: skip


def test_answers_tell_refusals_from_failures() -> None:
    """4xx are refusals; 5xx and requests without an answer are failures."""
    assert ANSWERS.accepted == 8
    assert ANSWERS.refused == {"409 SOLD_OUT": 2}
    assert ANSWERS.failed == 2
    assert ANSWERS.per_second(8) == 4.0


def test_cpu_is_reported_per_order_and_in_total() -> None:
    """Microseconds per accepted order, for each process and for all."""
    measured = Measured(ANSWERS, {"gateway-1": 0.0016, "mysql": 0.0008}, 0.1, {})
    assert measured.cpu_micros_per(8) == {"gateway-1": 200.0, "mysql": 100.0, "total": 300.0}
    assert measured.cpu_micros_per(0) == {}


def test_cpu_of_a_process_is_read() -> None:
    """What this process burns shows under its name."""
    before = read_cpu({"me": os.getpid()})
    sum(range(20_000_000))
    assert read_cpu({"me": os.getpid()}).since(before)["me"] > 0.02


def test_cpu_of_live_children_counts_for_the_parent() -> None:
    """A server that forks is charged for all of it; a named descendant is counted under its own name alone."""
    child = "import sys; " + BURN + "; print('done', flush=True); sys.stdin.read()"
    parent = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], "
        "stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True); "
        "p.stdout.readline(); print(p.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid_of_child = int(process.stdout.readline())
        together = read_cpu({"parent": process.pid}).seconds
        apart = read_cpu({"parent": process.pid, "child": pid_of_child})
        process.communicate("")
    assert len(together) == 2
    by_name = {key[0]: seconds for key, seconds in apart.seconds.items()}
    assert by_name["child"] > by_name["parent"]


def test_a_restarted_process_counts_from_its_start() -> None:
    """Another pid under the same name adds its own time and never a negative one."""
    before = CpuReading({("worker", 1, "100"): 9.0})
    after = CpuReading({("worker", 2, "200"): 1.5})
    assert after.since(before) == {"worker": 1.5}


def test_cpu_stands_beside_its_floor_by_kind_of_process() -> None:
    """Two gateways are one kind; what has no floor (supervisord) is shown with none."""
    spent = {
        "gateway-1": 100.0,
        "gateway-2": 50.0,
        "mysql": 90.0,
        "supervisord": 5.0,
        "total": 245.0,
    }
    assert beside_floors(spent, {"gateway": 60.0, "mysql": 70.0, "total": 130.0}) == {
        "gateway": {"spent": 150.0, "floor": 60.0},
        "mysql": {"spent": 90.0, "floor": 70.0},
        "supervisord": {"spent": 5.0, "floor": 0.0},
        "total": {"spent": 245.0, "floor": 130.0},
    }


METRICS = """\
# TYPE eventhub_batch_commands histogram
eventhub_batch_commands_bucket{le="+Inf"} %d
eventhub_batch_commands_count %d
eventhub_batch_commands_sum %d
# TYPE eventhub_http_request_seconds histogram
eventhub_http_request_seconds_bucket{le="+Inf",operation="placeOrder"} 4
eventhub_http_request_seconds_count{operation="placeOrder"} 4
eventhub_http_request_seconds_sum{operation="placeOrder"} 0.02
# TYPE python_gc_seconds histogram
python_gc_seconds_bucket{le="+Inf"} 1
python_gc_seconds_count 1
python_gc_seconds_sum 1
"""


def test_histograms_become_means_of_what_was_added() -> None:
    """Only what happened between two readings counts; times are shown in milliseconds; others' metrics are left out."""
    before = {("inventory-1", name): sums for name, sums in _sums(METRICS % (10, 10, 100)).items()}
    after = {("inventory-1", name): sums for name, sums in _sums(METRICS % (14, 14, 220)).items()}
    assert means(before, after) == {"inventory-1": {"batch_commands": {"count": 4.0, "mean": 30.0}}}
    first = means({}, before)["inventory-1"]
    assert first["http_request_ms[placeOrder]"] == {"count": 4.0, "mean": 5.0}
    assert set(first) == {"batch_commands", "http_request_ms[placeOrder]"}


def test_a_restarted_process_starts_its_histograms_anew() -> None:
    """Fewer values than before mean another process: all of them are new."""
    told = means({("a", "m"): (10.0, 100.0)}, {("a", "m"): (2.0, 6.0)})
    assert told == {"a": {"m": {"count": 2.0, "mean": 3.0}}}


RESULT = {
    "bench": "sale",
    "machine": {"cores": 2, "loadBefore": 0.1},
    "ordersPerSecond": 2000.0,
    "p99Ms": 50.0,
    "cpuMicrosPerOrder": {"gateway-1": 150.0, "notify-1": 6.0, "total": 500.0},
    "baseline": {"literal": {"ordersPerSecond": 400.0}},
    "audit": {"ok": True},
}


def changed(**figures: object) -> dict[str, object]:
    """A result that differs in these figures."""
    return RESULT | figures


def test_the_same_result_is_no_regression() -> None:
    """Comparing a result with itself finds nothing worse, and nothing that differs in its circumstances."""
    lines, worse = compare(RESULT, RESULT)
    assert not worse
    assert not [line for line in lines if line.startswith("not the same")]


@pytest.mark.parametrize(
    "figures",
    [
        {"ordersPerSecond": 1700.0},
        {"p99Ms": 60.0},
        {"cpuMicrosPerOrder": {"gateway-1": 180.0, "notify-1": 6.0, "total": 530.0}},
    ],
)
def test_a_figure_that_got_worse_is_seen(figures: dict[str, object]) -> None:
    """Fewer orders, longer waits, more CPU: each alone is a regression."""
    assert compare(RESULT, changed(**figures))[1]


@pytest.mark.parametrize(
    "figures",
    [
        {"ordersPerSecond": 1900.0},
        {"ordersPerSecond": 4000.0, "p99Ms": 10.0},
        {"cpuMicrosPerOrder": {"gateway-1": 150.0, "notify-1": 12.0, "total": 506.0}},
        {"baseline": {"literal": {"ordersPerSecond": 100.0}}},
        {"machine": {"cores": 2, "loadBefore": 1.9}},
    ],
)
def test_noise_improvements_and_the_yardstick_are_no_regression(figures: dict[str, object]) -> None:
    """Within 10 %, better, tiny, or about the baseline: not ours to worry about."""
    assert not compare(RESULT, changed(**figures))[1]


def test_results_of_different_machines_say_so() -> None:
    """A comparison over machines is shown with a warning."""
    lines, _ = compare(RESULT, changed(machine={"cores": 8, "loadBefore": 0.1}))
    assert "not the same machine.cores: 2 -> 8" in lines


def test_more_is_better_or_worse_by_the_figure() -> None:
    """The direction belongs to the figure; one without a direction is never judged."""
    assert judge("ordersPerSecond", 100, 150) == "better"
    assert judge("p99Ms", 100, 150) == "worse"
    assert judge("offered", 100, 150) == ""


def test_growth_and_memory_have_a_direction() -> None:
    """Dearer with full tables, slower to come back, larger: worse. A baseline's ratio is the other way round."""
    assert judge("orders.ratio", 1.0, 1.2) == "worse"
    assert judge("baseline.ratio", 4.0, 5.0) == "better"
    assert judge("streams.idleCores.total", 0.1, 0.2) == "worse"
    assert judge("streams.idleCores.mysql", 0.1, 0.2) == ""
    assert judge("backOnSaleMs.worst", 500, 900) == "worse"
    assert judge("processes.peakMiB.gateway-1", 100, 130) == "worse"
    assert judge("processes.peakMiB.gateway-1", 50, 58) == "", "the allocator's noise"
    assert judge("waiting.kibPerClient", 30, 20) == "better"
    assert judge("listing.page.large.cpuMicros", 4000, 5000) == "worse"


def test_the_middle_round_stands_for_a_count_of_processes() -> None:
    """Three rounds of one and two processes: the medians count, the last count beside the first."""

    def sold(total: float) -> dict[str, object]:
        return dict.fromkeys(KEPT, 0) | {"cpuMicrosPerOrder": {"total": total}}

    runs = {"1": [sold(100), sold(300), sold(110)], "2": [sold(121), sold(90), sold(500)]}
    told = summed_up(runs)
    assert told["cpuGrowth"] == 1.1
    assert told["counts"]["2"]["cpuMicrosPerOrder"] == {"total": 121}
    assert told["counts"]["1"]["rounds"] == [100, 300, 110]
    assert summed_up({"1": [sold(100)]})["cpuGrowth"] == 1.0


def test_memory_of_a_process_is_read() -> None:
    """Twenty MiB more are twenty MiB more; the peak is never below; who is gone is left out."""
    me = {"me": os.getpid()}
    before = resident(me)["me"]
    held = bytearray(b"x" * 20 * 1024 * 1024)
    after = resident(me)["me"]
    assert after - before > 15
    assert peak(me)["me"] >= after
    del held
    assert resident({"gone": 2**22 + 1}) == {}


def test_the_machine_has_used_more_than_this_process() -> None:
    """What everybody used is told as well, and holds what we used."""
    before = machine_seconds()
    sum(range(20_000_000))
    assert machine_seconds() > before > read_cpu({"me": os.getpid()}).since(CpuReading({}))["me"]
