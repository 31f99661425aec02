"""The route table: complete, consistent, and the application refuses to start when it is not."""

import dataclasses
import re

import pytest
from aiohttp import web

from contracts.runtime.metrics import Metrics
from gateway.http.authorization import Authorization
from gateway.http.request_metrics import RequestMetrics
from gateway.http.routing import ANYONE, Ownership, Route
from gateway.routes import TABLE, RouteMismatch, check, register


def application() -> web.Application:
    """With the table's routes, and nothing that could answer."""
    app = web.Application()
    register(app, TABLE, Authorization(None, None, None, None))  # type: ignore[arg-type]  # never called
    return app


def test_the_table_is_what_is_registered() -> None:
    """The real one passes."""
    check(application(), TABLE)


def test_a_route_outside_the_table_stops_the_start() -> None:
    """Somebody added a handler by hand: no route without its access in the table."""
    app = application()

    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/api/backdoor", handler)
    with pytest.raises(RouteMismatch, match="/api/backdoor"):
        check(app, TABLE)


def test_a_route_that_is_not_registered_stops_the_start() -> None:
    """The table promises what nobody answers."""
    extra = dataclasses.replace(TABLE[0], path="/api/promised", operation_id="promised")
    with pytest.raises(RouteMismatch, match="/api/promised"):
        check(application(), (*TABLE, extra))


def test_two_routes_of_one_name_stop_the_start() -> None:
    """Operation ids are unique."""
    twin = dataclasses.replace(TABLE[0], path=TABLE[1].path)
    with pytest.raises(RouteMismatch, match="twice"):
        check(application(), (*TABLE, twin))


@pytest.mark.parametrize("route", TABLE, ids=lambda route: route.operation_id)
def test_a_route_is_consistent(route: Route) -> None:
    """Paths of the contract, camelCase names, texts that stand in the path, owners only where somebody signs in."""
    assert re.fullmatch(r"(/[a-z0-9.\-]+|/\{[a-zA-Z]+\}(\.[a-z]+)?)+", route.path)
    assert re.fullmatch(r"[a-z][a-zA-Z]*", route.operation_id)
    assert set(route.texts) <= set(route.placeholders)
    assert route.ownership is Ownership.NONE or route.access is not ANYONE
    assert not route.is_command or route.method != "GET"
    assert not route.is_command or route.access is not ANYONE
    for pattern in route.texts.values():
        re.compile(pattern)


def test_requests_are_counted_in_prometheus_shape() -> None:
    """Counts by operation and status, buckets that add up, no lock on the way."""
    metrics = Metrics()
    seen = RequestMetrics(metrics)
    for seconds in (0.0005, 0.001, 0.004, 99.0):
        seen.add("placeOrder", 201, seconds)
    seen.add("placeOrder", 409, 0.001)
    text = metrics.render().decode()
    assert 'eventhub_http_requests_total{operation="placeOrder",status="201"} 4.0' in text
    assert 'eventhub_http_requests_total{operation="placeOrder",status="409"} 1.0' in text
    for bound, count in (("0.001", 3), ("0.0025", 3), ("0.005", 4), ("30.0", 4), ("+Inf", 5)):
        assert f'_bucket{{le="{bound}",operation="placeOrder"}} {count}.0' in text
    assert 'eventhub_http_request_seconds_count{operation="placeOrder"} 5.0' in text
