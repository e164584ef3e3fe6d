"""Gregor, Danihelka, Graves, Rezende and Wierstra, *DRAW* (2015): a recurrent autoencoder that reads and paints."""
