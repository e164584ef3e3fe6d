"""The experiments of Cate, Dalvi and Hussain (DeepFace: Face Generation using Deep Learning, 2016), each one report.

Every function takes what was measured or read (features, labels, curves) and gives a ``Report``; nothing here trains
or runs a network. The commands are ``mien experiment ...``, the page is docs/experiments.md.
"""
