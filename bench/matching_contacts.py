"""Matching contacts within coupled partners: generated people with known truth and usual errors.

Initials, nicknames, swapped fields, a typing error, a new family name, missing mail and phone; and,
what must not be coupled, family firms in which half of the people bear the owner's name, and shared
mailboxes.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from bench.matching_world import surname, typo
from koppel.sync.match import features, match
from koppel.sync.rule import MatchRule

_GIVEN = [
    "Anna", "Maria", "Sabine", "Ursula", "Petra", "Monika", "Claudia", "Susanne", "Katharina",
    "Julia", "Jana", "Lena", "Laura", "Sarah", "Christine", "Hans", "Peter", "Michael", "Thomas",
    "Andreas", "Wolfgang", "Klaus", "Jürgen", "Karl-Heinz", "Stefan", "Christian", "Martin",
    "Matthias", "Alexander", "Florian", "Jan", "Lukas", "Felix", "Jonas", "Hans-Peter",
]  # fmt: skip
_SHORT = {"Alexander": "Alex", "Michael": "Michi", "Katharina": "Kathi", "Christian": "Chris"}


def measure(companies: int = 5_000, seed: int = 1) -> dict[str, Any]:
    """That many coupled companies with one to twelve contacts on either side."""
    chance = random.Random(seed)
    rule = MatchRule(within="partner")
    truth = found = wrong = asked = total = 0
    used = 0.0
    for company in range(companies):
        crm, erp = _company(company, chance)
        truth += len(crm.keys() & erp.keys())
        total += len(crm) + len(erp)
        begun = time.process_time()
        pairing = match(
            {number: features("contact", row) for number, row in crm.items()},
            {number: features("contact", row) for number, row in erp.items()},
            rule,
        )
        used += time.process_time() - begun
        right = sum(pair.left == pair.right for pair in pairing.couples)
        found += right
        wrong += len(pairing.couples) - right
        asked += len({p.left for p in pairing.review}) + len({p.right for p in pairing.review})
    return {
        "set": "contacts",
        "records": total,
        "pairs": truth,
        "found": found + wrong,
        "wrong": wrong,
        "precision": round(found / max(1, found + wrong), 5),
        "recall": round(found / truth, 4),
        "review_share": round(asked / total, 4),
        "cpu_seconds": round(used, 1),
    }


def _company(key: int, chance: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides' contacts of one company; the same key is the same person."""
    owner = surname(chance)
    crm: dict[str, Any] = {}
    erp: dict[str, Any] = {}
    for number in range(chance.choice((1, 1, 2, 2, 3, 4, 6, 12))):
        given = chance.choice(_GIVEN)
        family = owner if chance.random() < 0.15 else surname(chance)
        person = {
            "given_name": given,
            "family_name": family,
            "email": f"{given[0].lower()}.{family.lower()}@firma{key}.de",
            "mobile": f"+49170{chance.randrange(10**6, 10**7)}",
            "phone": f"+4971155{key % 1000:03}{number:02}",
        }
        where = chance.random()
        if where < 0.8:
            crm[str(number)] = _written(person, chance, many=1.0)
        if where < 0.6 or where >= 0.8:
            erp[str(number)] = _written(person, chance, many=0.5)
    return crm, erp


def _written(person: dict[str, str], chance: random.Random, *, many: float) -> dict[str, str]:
    row = dict(person)
    if chance.random() < 0.06 * many:
        row["given_name"] = f"{row['given_name'][0]}."
    elif chance.random() < 0.2 * many:
        row["given_name"] = _SHORT.get(row["given_name"], row["given_name"])
    if chance.random() < 0.05 * many:
        row["family_name"] = typo(row["family_name"], chance)
    if chance.random() < 0.02 * many:
        row["family_name"] = surname(chance)
    if chance.random() < 0.02 * many:
        row["given_name"], row["family_name"] = row["family_name"], row["given_name"]
    if chance.random() < 0.1 * many:
        row["email"] = f"info@{row['email'].split('@')[1]}"
    for name, share in (("email", 0.2), ("mobile", 0.5), ("phone", 0.3)):
        if chance.random() < share * many:
            row[name] = ""
    return row


def main() -> int:
    """`python -m bench.matching_contacts`."""
    print(json.dumps(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
