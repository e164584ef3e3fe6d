"""A. Wang's thesis (MIT, 2019): frontal faces from face encodings."""
