"""A text that must not be seen: an API key on its way from where it is kept to where it is used."""


class Secret:
    """Shows itself only to `reveal`; in logs, reprs, errors and JSON it is not there."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret()"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")
