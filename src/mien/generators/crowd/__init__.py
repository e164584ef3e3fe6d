"""Faces of a crowd."""
