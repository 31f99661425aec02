"""What every process of EventHub is made of: settings, logs, metrics, times, tasks, failpoints."""
