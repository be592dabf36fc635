"""What WebEDT is about, with no technology in it: events, runs, sessions, users, errors.

Nothing here imports another package of ours, opens a socket or knows SQL.
"""
