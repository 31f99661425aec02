"""admission: who is let in.

Consumes  RecordScans (`admission`, competing consumers).
Emits     TicketAdmitted, TicketConflict.
Must stay true: a ticket is ADMITTED once, ever: its row is locked while a scan of it is ruled on, and keys say so as
well; a scan has one ruling, however often it comes; a fact that has happened is never refused, and what should not have
happened is a conflict.

    ruling.py     pure: what a scan ends in
    recording.py  the same with locks, rows and events
    handlers.py   message -> function
    scene.py      its self-test
    key_rotation.py   the keys of ticket codes, made in time
"""
