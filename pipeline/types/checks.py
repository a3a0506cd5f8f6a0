"""The check that every type makes when it is created."""


def require(condition: object, message: str) -> None:
    """Raise ValueError with the message unless the condition is true."""
    if not condition:
        raise ValueError(message)
