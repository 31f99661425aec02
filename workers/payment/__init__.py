"""payment: prices unpaid orders in crypto assets and settles what is paid.

Consumes  CreateQuote, ConfirmPayment (`payment`); OrderItemsAdded, OrderCancelled, OrderExpired (`payment.events`).
Emits     QuoteCreated, PaymentConfirmed, OrderConfirmed, TicketsIssued, PaymentLate.
Must stay true: payment, receipt and order move in one transaction; a quote pays once, in time, for exactly the total it
priced; a confirmed order has its tickets; every hash shown by a payment's owner leaves a receipt; the database's clock
decides.

    pricing.py     pure: the amount, the end of a quote
    quoting.py     pure: an old quote, a new one or none
    settlement.py  pure: what a shown hash ends in, the decision table
    creating.py confirming.py quote_expiry.py   the same with locks, rows and events
    ticket_backfill.py   tickets of orders confirmed before there were any
"""
