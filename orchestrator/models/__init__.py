"""The model catalog and how its variants are built."""
