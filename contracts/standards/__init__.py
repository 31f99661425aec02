"""What others have laid down for everybody: names in Unicode, zones of IANA, currencies of ISO 4217.

Nothing here knows EventHub.
"""
