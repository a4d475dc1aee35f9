"""Names of companies, people, streets and towns, brought to a form in which they can be compared.

Made for German-speaking and neighbouring countries (Romance, Nordic, Polish, Czech, Hungarian
forms among them). Everything folds: Müller, Mueller and MULLER are one, and so are Straße, Strasse
and Str.
"""

from __future__ import annotations

import re
from functools import lru_cache

from unidecode import unidecode

_DIGRAPH = re.compile(r"([aou])e+|(a)a+")
_WORD = re.compile(r"[a-z0-9&+]+")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
"""Each by itself: a name has one or two letters that are not plain, mostly the same few."""
_plain_letters = lru_cache(maxsize=4096)(unidecode)


def _written_out(found: re.Match[str]) -> str:
    return _plain_letters(found[0])


def fold(text: str) -> str:
    """Lower case, plain letters; umlauts written out and umlauts left out come to the same."""
    plain = text.casefold()
    if not plain.isascii():
        plain = _FOREIGN.sub(_written_out, plain).lower()
    return _DIGRAPH.sub(r"\1\2", plain)


_PART = re.compile(r"\d+(?:[.,]\d+)?|[a-z]+")


def product_words(text: str) -> tuple[str, ...]:
    """The folded words and figures of a product's name, each once: "12V" and "12 V" are one."""
    return tuple(dict.fromkeys(_PART.findall(fold(text))))


def listed(text: str) -> frozenset[str]:
    """The words of a text as a set: a table that stays readable."""
    return frozenset(text.split())


_CONNECTIVES = listed("& + und u et and og och ja i y e och der die das la le les")
_LEADING = frozenset(["firma", "fa", "company"])
_ABBREVIATIONS = {
    "gebr": "gebruder",
    "gebrueder": "gebruder",
    "ets": "etablissements",
    "ste": "societe",
    "brdr": "brodrene",
    "bros": "brothers",
    "masch": "maschinen",
    "intl": "international",
    "int": "international",
    "tech": "technik",
    "dtld": "deutschland",
    "st": "sankt",
    "dr": "",
    "ing": "",
    "dipl": "",
    "prof": "",
    "mag": "",
    "inh": "",
}

_FORMS: dict[str, str] = {
    "gmbh & co kg": "gmbhco",
    "gmbh & cokg": "gmbhco",
    "gmbh co kg": "gmbhco",
    "gmbh & co kga": "kgaa",
    "gmbh & co ohg": "gmbhco",
    "ges mbh & co kg": "gmbhco",
    "gesmbh & co kg": "gmbhco",
    "ag & co kg": "agco",
    "ag & co kga": "kgaa",
    "ug & co kg": "gmbhco",
    "se & co kg": "seco",
    "gmbh & co": "gmbhco",
    "ges mbh": "gmbh",
    "gesellschaft mbh": "gmbh",
    "gesellschaft mit beschrankter haftung": "gmbh",
    "gesmbh": "gmbh",
    "gmbh": "gmbh",
    "ggmbh": "gmbh",
    "mbh": "gmbh",
    "ug haftungsbeschrankt": "ug",
    "ug": "ug",
    "aktiengesellschaft": "ag",
    "ag": "ag",
    "kga": "kgaa",
    "kg": "kg",
    "kommanditgesellschaft": "kg",
    "ohg": "ohg",
    "og": "ohg",
    "gbr": "gbr",
    "ek": "ek",
    "eu": "ek",
    "e k": "ek",
    "ekfm": "ek",
    "ekfr": "ek",
    "ev": "ev",
    "eg": "eg",
    "egen": "eg",
    "se": "se",
    "& co": "co",
    "& cie": "co",
    "et cie": "co",
    "sarl": "sarl",
    "gmbh sarl": "gmbh",
    "sas": "sas",
    "sasu": "sas",
    "sa": "sa",
    "eurl": "eurl",
    "sci": "sci",
    "snc": "snc",
    "sagl": "sarl",
    "spa": "spa",
    "srl": "srl",
    "sp zoo": "spzoo",
    "spzoo": "spzoo",
    "sp zoo sp k": "spzook",
    "sp z oo": "spzoo",
    "sp j": "spj",
    "spj": "spj",
    "sp k": "spk",
    "spk": "spk",
    "ab": "ab",
    "aktiebolag": "ab",
    "hb": "hb",
    "kb": "kb",
    "as": "as",
    "asa": "asa",
    "aps": "aps",
    "is": "is",
    "ks": "ks",
    "ans": "ans",
    "da": "da",
    "enk": "ek",
    "oy": "oy",
    "oyj": "oyj",
    "oy ab": "oy",
    "ky": "ky",
    "tmi": "ek",
    "bv": "bv",
    "nv": "nv",
    "vof": "vof",
    "bvba": "bv",
    "ltd": "ltd",
    "limited": "ltd",
    "plc": "plc",
    "llp": "llp",
    "llc": "llc",
    "inc": "inc",
    "corp": "inc",
    "sro": "sro",
    "spol sro": "sro",
    "kft": "kft",
    "zrt": "rt",
    "nyrt": "rt",
    "bt": "bt",
    "doo": "doo",
    "dd": "dd",
}
_FORM_WORDS = {tuple(form.split()): kind for form, kind in _FORMS.items()}
_LONGEST = max(len(words) for words in _FORM_WORDS)
_FRONT = listed("sarl sas sasu sa eurl sci ab oy spa gmbh ug as")
_COUNTRIES = listed("deutschland germany austria osterreich schweiz switzerland")

GROUP_WORDS = listed(
    "holding verwaltung verwaltungs beteiligung beteiligungs beteiligungen vertrieb vertriebs "
    "service services immobilien grundstucks grundstucksverwaltung besitz group gruppe groupe "
    "koncern international europe europa deutschland germany austria osterreich schweiz "
    "suisse switzerland france polska norge sverige danmark suomi nord sud ost west export "
    "import logistik logistics leasing finance finanz trading handel stiftung"
)
"""Words by which the members of one group of companies tell themselves apart."""


def _words(text: str) -> list[str]:
    """Folded words; letters that stand alone are joined, so that "e. K." and "e.K." are one."""
    words: list[str] = []
    run = ""
    for word in _WORD.findall(fold(text)):
        if len(word) == 1 and word.isalpha():
            run += word
            continue
        if run:
            words.append(run)
            run = ""
        words.append(word)
    if run:
        words.append(run)
    return words


@lru_cache(maxsize=4096)
def company_name(name: str) -> tuple[tuple[str, ...], str]:
    """The words of a company's name, each once, without its legal form; and that ("" if none)."""
    words = _words(name)
    while len(words) > 1 and words[0] in _LEADING:
        words = words[1:]
    words, form = _strip_form(words)
    core = [_ABBREVIATIONS.get(word, word) for word in words if word not in _CONNECTIVES]
    core = [word for word in core if word]
    return tuple(dict.fromkeys(core or words)), form


def _strip_form(words: list[str]) -> tuple[list[str], str]:
    end = len(words)
    if end > 2 and words[-1] in _COUNTRIES and (words[-2],) in _FORM_WORDS:
        words = [*words[:-2], words[-1], words[-2]]
    for length in range(min(_LONGEST, end - 1), 0, -1):
        kind = _FORM_WORDS.get(tuple(words[-length:]))
        if kind is not None:
            return words[:-length], kind
    if end > 1 and words[0] in _FRONT:
        return words[1:], _FORMS[words[0]]
    return words, ""


_KIN = (
    frozenset({"gmbh", "gmbhco", "kg", "ug"}),
    frozenset({"ag", "sa", "spa", "as"}),
    frozenset({"sarl", "gmbh", "srl"}),
    frozenset({"co", "kg", "ohg", "gmbhco", "ag"}),
    frozenset({"sas", "sa", "sarl", "eurl"}),
    frozenset({"spzoo", "spzook", "spk"}),
    frozenset({"oy", "oyj"}),
)


def forms_clash(one: str, two: str) -> bool:
    """Are two legal forms such that they are not confused in everyday writing (AG, e.K.)?"""
    if not one or not two or one == two:
        return False
    return not any(one in kin and two in kin for kin in _KIN)


@lru_cache(maxsize=4096)
def person_name(text: str) -> tuple[str, ...]:
    """The words of a given or family name: "Karl-Heinz" gives karl, heinz; "J." gives j."""
    return tuple(word for word in _WORD.findall(fold(text)) if word not in _TITLES)


_TITLES = listed("dr prof dipl ing mag herr frau mr mrs ms monsieur madame mba")

_HOUSE = re.compile(r"\b(\d+)\s?([a-z])?\b")
_STREET = (
    (re.compile(r"\b(avenu|ave?)\b"), "av"),
    (re.compile(r"(strasse|str\b)"), "str"),
    (re.compile(r"(gatan|gata|gaden?|gasse|(?<=\w\w\w)g\.)(?=\W|$)"), "g"),
    (re.compile(r"(vagen|veien|vejen|vej|vei|weg|(?<=\w\w\w)[vw]\.)(?=\W|$)"), "w"),
    (re.compile(r"\b(boulevard|boul|blvd|bld)\b"), "bd"),
    (re.compile(r"\b(ulica|ul|aleja|aleje|al)\b"), ""),
    (re.compile(r"\b(ru|r)\b"), "ru"),
    (re.compile(r"\b(place|platz|pl)\b"), "pl"),
    (re.compile(r"\b(chemin|ch)\b"), "ch"),
    (re.compile(r"(katu|(?<=\w\w\w)k\.)(?=\W|$)"), "k"),
)
"""On folded text, in which "avenue" is "avenu" and "rue" is "ru"."""


@lru_cache(maxsize=4096)
def street(line: str) -> tuple[str, str]:
    """A street line as (name, house number): "Lange Straße 12 a" gives (langestr, 12)."""
    plain = fold(line)
    house = ""
    found = list(_HOUSE.finditer(plain))
    if found:
        number = found[0] if found[0].start() == 0 else found[-1]
        house = number.group(1)
        plain = plain[: number.start()] + " " + plain[number.end() :]
    for pattern, short in _STREET:
        plain = pattern.sub(short, plain)
    return "".join(_WORD.findall(plain)), house


@lru_cache(maxsize=4096)
def town(city: str) -> str:
    """The town's own name: without "am Main", "i. Br.", "C" or the postal district."""
    words = _WORD.findall(fold(city))
    if words and words[0] in ("st", "sankt", "saint", "bad") and len(words) > 1:
        return f"{_ABBREVIATIONS.get(words[0], words[0])} {words[1]}"
    return words[0] if words else ""


_FREE_MAIL = listed(
    "gmail.com googlemail.com web.de t-online.de freenet.de arcor.de online.de posteo.de "
    "mailbox.org email.de mail.de magenta.de vodafone.de vodafonemail.de kabelmail.de "
    "unitybox.de versanet.de ewe.net ewetel.net osnanet.de netcologne.de icloud.com me.com "
    "mac.com aol.com aol.de msn.com mail.com email.com protonmail.com proton.me pm.me "
    "tutanota.com tutanota.de aon.at chello.at a1.net utanet.at inode.at kabsi.at bluewin.ch "
    "hispeed.ch sunrise.ch swissonline.ch orange.fr wanadoo.fr free.fr laposte.net sfr.fr "
    "neuf.fr numericable.fr bbox.fr wp.pl o2.pl onet.pl interia.pl op.pl vp.pl poczta.onet.pl "
    "gazeta.pl tlen.pl telia.com spray.se bredband.net comhem.se online.no broadpark.no "
    "frisurf.no luukku.com kolumbus.fi elisanet.fi saunalahti.fi mail.dk jubii.dk stofanet.dk "
    "tdcadsl.dk libero.it tiscali.it alice.it virgilio.it tin.it telenet.be skynet.be "
    "ziggo.nl kpnmail.nl planet.nl xs4all.nl home.nl seznam.cz centrum.cz post.cz freemail.hu "
    "citromail.hu t-online.hu"
)
_FREE_BRANDS = frozenset(["yahoo", "hotmail", "live", "outlook", "gmx", "ymail"])
_SECOND_LEVEL = frozenset(["co", "com", "net", "org", "gv", "or", "ac", "edu", "gov"])


def own_domain(host: str) -> str:
    """The registrable domain of a mail address or web address; "" for a public mail service."""
    plain = host.strip().lower().rsplit("@", 1)[-1]
    plain = plain.split("://", 1)[-1].split("/", 1)[0].split(":", 1)[0].strip(".")
    labels = plain.split(".")
    if len(labels) < 2 or not all(labels):
        return ""
    keep = 3 if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2 else 2
    domain = ".".join(labels[-keep:])
    if plain in _FREE_MAIL or domain in _FREE_MAIL or labels[-keep] in _FREE_BRANDS:
        return ""
    return domain
