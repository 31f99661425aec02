"""The statements that fill a database with the books of many orders. Data for `filling.py`.

In: numbers `n` of a helper table; named parameters. Out: rows as a finished sale leaves them.
Must stay true: plain SQL of MySQL and MariaDB; every row fits the others by arithmetic on `n` alone: order n is the
k-th (k = n DIV types) of ticket type n MOD types; `batch` orders of a type are one step of its ledger; of ten
orders `paid` are paid, the last is cancelled, the others have expired, and what was not sold came back, one batch a
step, after the last take.
"""

NUMBERS = (
    "CREATE TABLE bench_numbers (n INT NOT NULL PRIMARY KEY) ENGINE = InnoDB",
    "INSERT INTO bench_numbers VALUES (0), (1), (2), (3), (4), (5), (6), (7)",
)
MORE_NUMBERS = "INSERT INTO bench_numbers SELECT n + %(have)s FROM bench_numbers WHERE n + %(have)s < %(count)s"
NO_NUMBERS = "DROP TABLE IF EXISTS bench_numbers"

_N = "FROM bench_numbers WHERE n >= %(low)s AND n < %(high)s"
_RANDOM = "LEFT(SHA2(CONCAT(%(salt)s, '{kind}', n), 256), 24)"
_AT = "(%(began)s + INTERVAL n * %(step)s MICROSECOND)"
"""When order n was placed."""
_ENDED = f"({_AT} + INTERVAL 901 SECOND)"
"""When it expired or was cancelled: its life is 900 s."""
_KTH = "(n DIV %(types)s)"
_IS_PAID = f"MOD({_KTH}, 10) < %(paid)s"
_TAKEN = f"2 + {_KTH} DIV %(batch)s"
_RETURNED = f"2 + %(steps)s + {_KTH} DIV %(batch)s"
_STATUS = f"CASE WHEN {_IS_PAID} THEN 'CONFIRMED' WHEN MOD({_KTH}, 10) = 9 THEN 'CANCELLED' ELSE 'EXPIRED' END"
_REASON = (
    f"CASE WHEN {_IS_PAID} THEN 'paid' WHEN MOD({_KTH}, 10) = 9 THEN 'buyer' ELSE 'deadline' END"
)
_OVER = f"IF({_IS_PAID}, {_AT} + INTERVAL 60 SECOND, {_ENDED})"
_USER = "(%(first_user)s + MOD(n, %(users)s))"
_ORDER = "(%(first_order)s + n)"
_PAYMENT = "(%(first_payment)s + n)"
_TYPE = "(%(first_type)s + MOD(n, %(types)s))"
_EVENT = "(%(first_event)s + MOD(n, %(types)s))"


_EVENLY = (
    "IF(n < %(dense)s, n * 4294967295 DIV %(dense)s, (n - %(dense)s) * 4294967295 DIV %(rest)s)"
)


def _uuid(kind: str) -> str:
    """16 bytes spread evenly over all there are, as those of keyed requests are, and that no other kind has.

    They grow with n twice: up to `dense`, and once more over the `rest` in between. A page is then written twice, not
    once for each of its rows, and is three quarters full in the end, as pages are that grew at random.
    """
    return f"UNHEX(CONCAT(LPAD(HEX({_EVENLY}), 8, '0'), {_RANDOM.format(kind=kind)}))"


USERS = (
    "INSERT INTO users (id, email, password_hash, access_changed_at, created_at, updated_at) "
    "SELECT %(first_user)s + n, CONCAT('filled-', %(salt)s, '-', n, '@eventhub.example'), '!', %(long_ago)s, "
    f"%(long_ago)s, %(long_ago)s {_N}",
    f"INSERT INTO user_roles (user_id, role_id) SELECT %(first_user)s + n, 3 {_N}",
)
CATALOGUE = (
    "INSERT INTO events (id, organizer_id, name, venue, start_time, end_time, command_id, created_at, updated_at) "
    "SELECT %(first_event)s + n, %(organizer)s, CONCAT('Filled ', n), 'Main hall', "
    "%(opens)s + INTERVAL n MINUTE, %(opens)s + INTERVAL n + 180 MINUTE, "
    f"UNHEX(LEFT(SHA2(CONCAT(%(salt)s, 'event', n), 256), 32)), %(long_ago)s, %(long_ago)s {_N}",
    "INSERT INTO ticket_types (id, event_id, name, price, currency, quota, available, max_per_order, command_id, "
    "created_at, updated_at) "
    "SELECT %(first_type)s + n, %(first_event)s + n, 'Type 1', 49.90, 'USD', %(quota)s, %(quota)s, 10, "
    f"UNHEX(LEFT(SHA2(CONCAT(%(salt)s, 'type', n), 256), 32)), %(long_ago)s, %(long_ago)s {_N}",
    "INSERT INTO stock_ledger (ticket_type_id, version, kind, delta, quota_delta, created_at) "
    f"SELECT %(first_type)s + n, 1, 'CREATE', %(quota)s, %(quota)s, %(long_ago)s {_N}",
)
STOCK = (
    "UPDATE ticket_types SET version = 1 + 2 * %(steps)s, available = quota - %(sold)s "
    "WHERE id >= %(first_type)s AND id < %(first_type)s + %(types)s",
)
_STEP = "(n DIV %(types)s)"
_LEDGER = "INSERT INTO stock_ledger (ticket_type_id, version, kind, delta, created_at) SELECT"
LEDGER = (
    f"{_LEDGER} {_TYPE}, 2 + {_STEP}, 'TAKE', -%(batch)s, %(began)s {_N}",
    f"{_LEDGER} {_TYPE}, 2 + %(steps)s + {_STEP}, 'RETURN', %(returned)s, %(began)s {_N}",
)
"""n counts the steps here: `types` times `steps` of them."""

ORDERS = (
    "INSERT INTO orders (id, user_id, event_id, status, total_cost, currency, expires_at, version, command_id, "
    f"created_at, updated_at) SELECT {_ORDER}, {_USER}, {_EVENT}, {_STATUS}, 49.90, 'USD', "
    f"{_AT} + INTERVAL 900 SECOND, 2, {_uuid('place')}, {_AT}, {_OVER} {_N}",
    "INSERT INTO order_details (order_id, ticket_type_id, quantity, unit_price, cost, taken_version, "
    f"returned_version, command_id, created_at, updated_at) SELECT {_ORDER}, {_TYPE}, 1, 49.90, 49.90, {_TAKEN}, "
    f"IF({_IS_PAID}, NULL, {_RETURNED}), {_uuid('place')}, {_AT}, {_OVER} {_N}",
    "INSERT INTO order_history (order_id, version, status, reason, created_at) "
    f"SELECT {_ORDER}, 2, {_STATUS}, {_REASON}, {_OVER} {_N}",
)
_HASH = "CONCAT('0x', SHA2(CONCAT(%(salt)s, 'hash', n), 256))"
PAYMENTS = (
    "INSERT INTO payments (id, order_id, asset, quote_rate, amount_crypto, total_cost, tx_hash, status, expires_at, "
    "rate_source, rate_observed_at, command_id, created_at, updated_at) "
    f"SELECT {_PAYMENT}, {_ORDER}, 'BTC', 50000, 0.000998, 49.90, {_HASH}, 'CONFIRMED', "
    f"{_AT} + INTERVAL 930 SECOND, 'fake', {_AT}, {_uuid('quote')}, {_AT} + INTERVAL 30 SECOND, "
    f"{_OVER} {_N} AND {_IS_PAID}",
    "INSERT INTO payment_receipts (tx_hash, payment_id, status, command_id, created_at) "
    f"SELECT {_HASH}, {_PAYMENT}, 'APPLIED', {_uuid('confirm')}, {_OVER} {_N} AND {_IS_PAID}",
)
_LINES = (
    f"FROM bench_numbers JOIN order_details d ON d.order_id = {_ORDER} "
    "WHERE n >= %(low)s AND n < %(high)s"
)
TICKETS = (
    "INSERT INTO tickets (order_detail_id, number, order_id, event_id, ticket_type_id, holder_id, issued_at, "
    f"updated_at) SELECT d.id, 1, {_ORDER}, {_EVENT}, {_TYPE}, {_USER}, {_OVER}, {_OVER} "
    f"{_LINES} AND {_IS_PAID}",
)
_OUTCOMES = (
    "INSERT INTO command_outcomes (id, user_id, type, fingerprint, status_code, code, location, request_id, body, "
    "accepted_at, decided_at) SELECT"
)


_FINGERPRINT = "LEFT(SHA2(CONCAT(%(salt)s, n), 256), 32)"


def _outcome(kind: str, status: int, location: str, own: str, at: str, where: str = "") -> str:
    body = f"REPLACE(REPLACE(REPLACE(%({kind}_body)s, '@id@', {own}), '@user@', {_USER}), '@order@', {_ORDER})"
    return (
        f"{_OUTCOMES} {_uuid(kind)}, {_USER}, %({kind}_type)s, {_FINGERPRINT}, {status}, NULL, {location}, "
        f"LPAD(HEX(n), 32, '0'), {body}, {at}, {at} {_N}{where}"
    )


OUTCOMES = (
    _outcome("place", 201, f"CONCAT('/api/orders/', {_ORDER})", _ORDER, _AT),
    _outcome(
        "quote", 201, f"CONCAT('/api/payments/', {_PAYMENT})", _PAYMENT,
        f"({_AT} + INTERVAL 30 SECOND)", f" AND {_IS_PAID}",
    ),
    _outcome("confirm", 200, "NULL", _PAYMENT, _OVER, f" AND {_IS_PAID}"),
)  # fmt: skip
