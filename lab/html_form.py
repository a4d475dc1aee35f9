"""The one form of an HTML page, read as a browser reads it: what would be posted, and the choices.

For pages of a system whose own forms a test fills in as its user would. The page's main form is
the one that has a CSRF token; search boxes of the page's head have none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

TOKEN = "csrfmiddlewaretoken"


@dataclass
class Form:
    """Names and values of a form's fields; a field is a list where several values may be chosen."""

    values: dict[str, str] = field(default_factory=dict)
    many: dict[str, list[str]] = field(default_factory=dict)
    unchecked: set[str] = field(default_factory=set)
    """Checkboxes without a tick: nothing is posted for them."""
    options: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each list of choices: label -> value."""

    def __contains__(self, name: str) -> bool:
        return name in self.values or name in self.many or name in self.unchecked

    def label(self, name: str) -> str:
        """What a person reads as the choice that is made; empty for none."""
        chosen = self.values.get(name, "")
        return next((text for text, value in self.options[name].items() if value == chosen), "")

    def data(self) -> dict[str, str | list[str]]:
        """What a browser posts."""
        return {**self.values, **self.many}


class _Reader(HTMLParser):
    """Collects the fields of each form, and keeps the form that has a token."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.form: Form | None = None
        self.found: Form | None = None
        self._select: str | None = None
        self._option: str | None = None
        self._area: str | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        attributes = dict(pairs)
        name = attributes.get("name") or ""
        if tag == "form":
            self.form = Form()
        if self.form is None:
            return
        if tag == "input" and name:
            self._input(self.form, name, attributes)
        elif tag == "textarea" and name:
            self._area, self._text = name, []
        elif tag == "select" and name:
            self._select = name
            self.form.options[name] = {}
            if "multiple" in attributes:
                self.form.many[name] = []
        elif tag == "option" and self._select:
            self._end_option()
            self._option, self._text = attributes.get("value") or "", []
            self._choose(self.form, self._select, self._option, "selected" in attributes)

    def _input(self, form: Form, name: str, attributes: dict[str, str | None]) -> None:
        value = attributes.get("value")
        if name == TOKEN:
            self.found = form
        if attributes.get("type") in ("checkbox", "radio"):
            if "checked" in attributes:
                form.values[name] = "on" if value is None else value
            elif attributes["type"] == "checkbox":
                form.unchecked.add(name)
        elif attributes.get("type") not in ("submit", "button", "file", "image"):
            form.values[name] = value or ""

    def _choose(self, form: Form, name: str, value: str, selected: bool) -> None:
        if name in form.many:
            if selected:
                form.many[name].append(value)
        elif selected or name not in form.values:
            form.values[name] = value

    def _end_option(self) -> None:
        if self.form is not None and self._select and self._option is not None:
            label = " ".join("".join(self._text).split())
            self.form.options[self._select].setdefault(label, self._option)
        self._option = None

    def handle_data(self, text: str) -> None:
        if self._option is not None or self._area is not None:
            self._text.append(text)

    def handle_endtag(self, tag: str) -> None:
        if tag == "option":
            self._end_option()
        elif tag == "select":
            self._end_option()
            self._select = None
        elif tag == "textarea" and self.form is not None and self._area is not None:
            # A browser drops the line break that follows the opening tag.
            text = "".join(self._text)
            self.form.values[self._area] = text.removeprefix("\r\n").removeprefix("\n")
            self._area = None
        elif tag == "form":
            self.form = None


class _Errors(HTMLParser):
    """The text of all lists of errors in a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.depth = 0
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        if tag == "ul" and (self.depth or "errorlist" in (dict(pairs).get("class") or "")):
            self.depth += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "ul" and self.depth:
            self.depth -= 1

    def handle_data(self, text: str) -> None:
        if self.depth and text.strip():
            self.texts.append(text.strip())


def read_form(html: str) -> Form | None:
    """The page's form that has a token; None where there is none."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def read_errors(html: str) -> list[str]:
    """What the page says is wrong with the form that was posted."""
    reader = _Errors()
    reader.feed(html)
    reader.close()
    return reader.texts
