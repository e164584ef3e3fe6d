"""The page on which people judge faces: real or generated? (The study itself is ``mien.evaluation.study``.)"""
