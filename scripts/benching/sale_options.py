"""What a sale is asked to be: who buys, how long, how much there is. For EventHub and for the baselines alike."""

from dataclasses import dataclass

QUOTA = 10_000_000


@dataclass(frozen=True, slots=True)
class SaleOptions:
    """What was asked for. orders: 0 = as many as `seconds` allow; tickets: of each event."""

    clients: int = 128
    seconds: float = 10.0
    orders: int = 0
    events: int = 1
    tickets: int = QUOTA
    users: int = 5000
    rate: float = 0
    warm_up: float = 1.0
    keys: bool = False
    baseline: bool = False
    baseline_processes: int = 1
    floors: bool = False
    audit: bool = True
