"""Hypothesis without deadlines: no test of this room depends on how busy the machine is."""

from hypothesis import settings

settings.register_profile("compressors", deadline=None)
settings.load_profile("compressors")
