"""Portraits: from a photo of a face to the same person, looking ahead, on a plain background."""
