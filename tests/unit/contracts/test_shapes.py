"""A resource that is described once: its columns, its JSON, its schema, what other releases send of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from contracts.resources import Moment, Money
from contracts.shapes import Answer, JsonOf, column_names, from_json, json_writer, shows

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A row with one of each kind of column."""

    id: int
    face_value: Money
    sold_at: Moment | None
    row_name: str = "A"


@shows(SeatRow)
class Seat(Answer):
    """A seat."""

    neighbours: list[int]


SEATS: TypeAdapter[dict[str, Any]] = TypeAdapter(Annotated[dict[str, Any], JsonOf(Seat)])
SHOWN = {"id": 1, "faceValue": "5.00", "soldAt": None, "rowName": "B", "neighbours": [2]}


def test_columns_are_named_as_the_fields_and_members_as_the_columns() -> None:
    """In their order, values as the contract writes them."""
    assert column_names(SeatRow) == ("id", "face_value", "sold_at", "row_name")
    written = json_writer(SeatRow)(SeatRow(1, Decimal(5), AT, "B"))
    assert list(written) == ["id", "faceValue", "soldAt", "rowName"]
    assert written["faceValue"] == "5.00"
    assert written["soldAt"] == "2026-05-01T12:00:00.000000Z"


def test_what_was_written_can_be_read() -> None:
    """Values come back as the row holds them; null stays nothing."""
    said = {"face_value": "5.00", "sold_at": "2026-05-01T14:00:00+02:00"}
    assert from_json(SeatRow, said) == {"face_value": Decimal(5), "sold_at": AT}
    assert from_json(SeatRow, {"sold_at": None}) == {"sold_at": None}


def test_the_schema_describes_columns_and_what_stands_beside_them() -> None:
    """Every member of the row first, then those of the class body; what has a default may be missing."""
    schema = Seat.model_json_schema()
    assert list(schema["properties"]) == [*SHOWN]
    assert schema["required"] == ["id", "faceValue", "soldAt", "neighbours"]
    assert schema["description"] == "A seat."


def test_a_resource_of_another_release_is_taken() -> None:
    """A newer one sends members that are unknown here and kept; an older one lacks those that have a default."""
    assert SEATS.validate_python(SHOWN | {"colour": "red"}) == SHOWN | {"colour": "red"}
    older = {name: value for name, value in SHOWN.items() if name != "rowName"}
    assert SEATS.validate_python(older) == SHOWN | {"rowName": "A"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "1"},
        {"id": True},
        {"faceValue": 5},
        {"faceValue": "5"},
        {"soldAt": "yesterday"},
        {"neighbours": {}},
    ],
)
def test_what_is_of_another_kind_is_refused(wrong: dict[str, Any]) -> None:
    """Nothing is made to fit."""
    with pytest.raises(ValidationError):
        SEATS.validate_python(SHOWN | wrong)


class Inner(Answer):
    """A model in a model."""

    id: int


class Outer(Answer):
    """One where it may stand."""

    one: Inner
    many: list[Inner]
    maybe: Inner | None


def test_models_in_models_stay_plain() -> None:
    """What was checked can be written as JSON again, members of a newer release and all."""
    given = {"one": {"id": 1, "new": 2}, "many": [{"id": 3}], "maybe": {"id": 4}}
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[dict[str, Any], JsonOf(Outer)])
    assert orjson.loads(orjson.dumps(adapter.validate_python(given))) == given
    assert adapter.validate_python(given | {"maybe": None})["maybe"] is None
    with pytest.raises(ValidationError):
        adapter.validate_python(given | {"one": {"id": "1"}})


class Nowhere(Answer):
    """One where it may not."""

    other: dict[str, Inner]


def test_a_model_elsewhere_in_a_model_is_refused() -> None:
    """It would be checked, and become what cannot be written."""
    with pytest.raises(TypeError, match="no model"):
        TypeAdapter(Annotated[dict[str, Any], JsonOf(Nowhere)])
