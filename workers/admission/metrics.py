"""What admission counts."""

from prometheus_client import Counter

RULINGS = Counter("eventhub_scan_rulings", "Scans by what they ended in", ["ruling"])
