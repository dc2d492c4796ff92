"""What comes in and goes out, as pydantic models: the wire format, and nothing else.

What comes in is closed (a field that is not known is refused, so that a misspelt one is not
ignored) and bounded. What goes out is open and is not bounded: it shows what the storage has.
"""
