"""What the engine says is shown in German, with the values it was said with."""

from __future__ import annotations

import re

import pytest
from django.utils import translation

from koppel.store.opening import setup_django

setup_django()

from koppel.web.sentences import PATTERNS, in_language  # noqa: E402


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Both sides changed 'email'; a person decides.",
            "Beide Seiten haben „E-Mail“ geändert; ein Mensch entscheidet.",
        ),
        (
            "The ERP owns 'name'; the CRM receives its value.",
            "„Name“ gehört dem ERP; das CRM erhält dessen Wert.",
        ),
        (
            "The CRM receives 6 fields. Matched: same name, same phone +41315751269, same address.",
            "Das CRM erhält 6 Felder. Zugeordnet: gleicher Name, gleiches Telefon +41315751269, "
            "gleiche Adresse.",
        ),
        (
            "The CRM receives 2 fields, the ERP receives 1 field, 1 field waits for a person.",
            "Das CRM erhält 2 Felder, das ERP erhält 1 Feld, 1 Feld wartet auf einen Menschen.",
        ),
        (
            "The ERP's record was deleted; the CRM's stays, and the pair is over.",
            "Der Datensatz des ERP wurde gelöscht; der des CRM bleibt, und das Paar ist beendet.",
        ),
        (
            "The CRM receives 1 field. Matched: same VAT id DE937955076, same name, same phone "
            "+4989, different phones.",
            "Das CRM erhält 1 Feld. Zugeordnet: gleiche USt-IdNr. DE937955076, gleicher Name, "
            "gleiches Telefon +4989, verschiedene Telefonnummern.",
        ),
        (
            "There are several candidates of nearly equal weight: also 453, 965.",
            "Es gibt mehrere fast gleichwertige Kandidaten: auch 453, 965.",
        ),
        ("0.71: similar name (83%); other town", "0.71: ähnlicher Name (83%); anderer Ort"),
        (
            "Read QUO-1: 2 lines, net 1020.00, gross 1213.8 EUR.",
            "QUO-1 gelesen: 2 Positionen, netto 1.020,00, brutto 1.213,80 EUR.",
        ),
        (
            "Decision: hold, because the customer is new and 10.00 are open, and with this order "
            "the credit limit of 5.00 is exceeded (rule 'Careful').",
            "Entscheidung: anhalten; Grund: der Kunde ist neu und 10,00 sind offen, und mit diesem "
            "Auftrag wird das Kreditlimit von 5,00 überschritten (Regel „Careful“).",
        ),
        (
            "The order S-00001 is processing in the ERP.",
            "Der Auftrag S-00001 ist im ERP jetzt: bestätigt.",
        ),
        (
            "the ERP reckons otherwise: net: 1020.00 in the CRM, 1019.00 in the ERP.",
            "Das ERP rechnet anders: netto: 1.020,00 im CRM, 1.019,00 im ERP.",
        ),
        (
            "the ERP has this order as S-1 already, and otherwise: tax of 19 %: nothing in the "
            "CRM, 3.80 in the ERP",
            "das ERP hat diesen Auftrag schon als S-1, und zwar anders: Steuer zu 19 %: nichts im "
            "CRM, 3,80 im ERP",
        ),
        (
            "Line 2: the tax rate 'reduced' is no number. The order has no customer.",
            "Position 2: der Steuersatz „reduced“ ist keine Zahl. Der Auftrag hat keinen Kunden.",
        ),
        (
            "The CRM shows 12.5 gross, its lines come to 12.49.",
            "Das CRM zeigt brutto 12,50, seine Positionen ergeben 12,49.",
        ),
        (
            "If the CRM was restored from a backup, make a new one: koppel order retry 1 --accept "
            "again",
            "Wurde das CRM aus einer Sicherung wiederhergestellt, legen Sie einen neuen an: koppel "
            "order retry 1 --accept again",
        ),
        ("What a system said itself.", "What a system said itself."),
    ],
)
def test_a_sentence_is_shown_in_german(said: str, shown: str) -> None:
    with translation.override("de"):
        assert in_language(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Both sides changed 'email'; a person decides.",
            "Both sides changed 'E-mail'; a person decides.",
        ),
        (
            "Read QUO-1: 2 lines, net 1020.00, gross 1213.8 EUR.",
            "Read QUO-1: 2 lines, net 1,020.00, gross 1,213.80 EUR.",
        ),
        (
            "The order S-00001 is processing in the ERP.",
            "The order S-00001 is confirmed in the ERP.",
        ),
        ("0.71: similar name (83%); other town", "0.71: similar name (83%); other town"),
        ("What a system said itself.", "What a system said itself."),
    ],
)
def test_a_sentence_is_shown_in_english_with_labels(said: str, shown: str) -> None:
    with translation.override("en"):
        assert in_language(said) == shown


def test_every_pattern_can_be_filled_in_german() -> None:

    with translation.override("de"):
        for pattern in PATTERNS:
            values = dict.fromkeys(re.findall(r"\{(\w+)\}", pattern), "7")
            values |= {name: "CRM" for name in values if name in ("side", "giver", "owner", "to")}
            values |= {name: "hold" for name in values if name == "verdict"}
            said = pattern.format(**values)
            assert in_language(said) != said or pattern.startswith("{score}"), pattern
