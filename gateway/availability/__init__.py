"""What this gateway knows of stock without asking: what is sold out, and which event a ticket type belongs to."""
