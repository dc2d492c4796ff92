"""The sections of a run, a module each: one thing that is measured."""
