"""What holds for every test."""

from hypothesis import settings

# A busy machine makes one example slow; that says nothing about the code.
settings.register_profile("tulle", deadline=None)
settings.load_profile("tulle")
