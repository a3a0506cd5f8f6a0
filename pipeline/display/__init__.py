"""Results -> what a user reads: one module per output form. Results themselves are data.

``text``         lines for a terminal
``json_values``  values for JSON documents
"""
