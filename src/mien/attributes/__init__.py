"""What can be said of a face: 73 attributes in 42 groups, and the words that people use for them."""

from mien.attributes.vocabulary import GROUP_OF, GROUPS, NAMES, Group
from mien.attributes.words import parse

__all__ = ["GROUPS", "GROUP_OF", "NAMES", "Group", "parse"]
