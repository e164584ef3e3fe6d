"""What can be said of a face: 73 attributes in 42 groups, and the reader of what people write of it."""

from mien.attributes.sentences import Description, Understood, understand, understand_all, understand_or_refuse
from mien.attributes.vocabulary import GROUP_OF, GROUPS, NAMES, Group

__all__ = [
    "GROUPS", "GROUP_OF", "NAMES", "Description", "Group", "Understood", "understand", "understand_all",
    "understand_or_refuse",
]  # fmt: skip
