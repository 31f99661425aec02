"""E-mail addresses: one mailbox, one stored form; what is none is refused."""

import pytest

from contracts.accounts import BadEmail, stored_email


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+tickets@example.com", "ada+tickets@example.com"),
        ("admin@eventhub.local", "admin@eventhub.local"),
        ("a@b.test", "a@b.test"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("ada@b\u00fccher.example", "ada@b\u00fccher.example"),
    ],
)
def test_spellings_of_one_mailbox_are_one(text: str, stored: str) -> None:
    """Case, composed and decomposed letters; reserved names are fine without the net."""
    assert stored_email(text) == stored
    assert stored_email(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@[127.0.0.1]",
        "a b@example.com",
        "ada@exam ple.com",
        "ada@example..com",
        "ada@example.com\r\nBcc: x@example.com",
        "ada@example.com\x00",
        "Ada <ada@example.com>",
        "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """No domain, blanks, line breaks, display names, too long."""
    with pytest.raises(BadEmail):
        stored_email(text)
