"""One module per resource: its routes and handlers, its request and answer models."""
