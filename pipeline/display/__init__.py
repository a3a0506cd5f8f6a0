"""Results -> what a user reads: forms of output by type. Results themselves are data.

``text``         lines for a terminal
``json_values``  values for JSON documents
``subjects``     which of these modules shows which results:
"""

SUBJECTS: dict[str, str] = {}
"""Module or package of a result -> the module that registers its forms."""
