"""Real or generated? A study with people, as the conditional GAN's paper asks for (D. Sanche, section 7).

"A study could be run where human participants would evaluate results by attempting to determine which images were
generated, and which ones were real faces." Here are its design, its pictures, who sees what and in which order, and
what the answers say. The page that people see is in ``mien.apps.study``.
"""
