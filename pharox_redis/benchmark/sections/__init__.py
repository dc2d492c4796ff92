"""What is measured: one module a section, and their order in ``registry``."""
