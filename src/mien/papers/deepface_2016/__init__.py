"""Cate, Dalvi and Hussain, *DeepFace* (2016): mixture, feature inversion, class visualisation."""
