"""Brings the platform up, walks it through its phases, and takes it down again."""
