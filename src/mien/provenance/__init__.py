"""Provenance: the two marks that every picture of mien carries, and their reader (docs/provenance.md)."""
