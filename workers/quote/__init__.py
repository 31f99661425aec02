"""quote: owns the rates: what assets cost, and which source is believed.

Consumes  PublishRate, AcceptRate (`quote`); messages of providers (`quote.rates`); asks a feed itself
(ExternalQuoteJob).
Emits     RateUpdated, RateQuarantined.
Must stay true: a rate is used only after the same judgement, whichever way it came; what fails it is kept in
the quarantine with its reason and changes nothing; one process asks the feed; a source's rates are taken in the
order it sent them; no provider alone moves a price out of its band, or leaves more than a bounded number of rows.

    market.py      pure: what a report of a pair is held against
    judging.py     pure: which reports are good, and why the others are not
    reports.py     judged reports become rows and events
    commands.py    PublishRate, AcceptRate
    opening.py     pure: a provider's message becomes a report
    providers.py   the queue that providers write to
    feeds.py fake_price.py coingecko.py   what a feed is, and two of them
    polling.py     ExternalQuoteJob
"""
