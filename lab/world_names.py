"""Tables of the demo world: towns with their postal and area codes, names, trades, streets.

Towns and postal codes are real and belong together; firms and people are made up. Plain tables
in plain text, so that they can be read and extended without knowing the generator.
"""

from __future__ import annotations

from typing import NamedTuple


class Town(NamedTuple):
    postal_code: str
    city: str
    area: str
    """Area code without the trunk zero; empty where the country has none."""
    language: str
    """ISO 639-1 of the people there."""


class Trade(NamedTuple):
    name: str
    sector: str
    """One of SECTORS."""


class Land(NamedTuple):
    """All that is typical for one country."""

    towns: tuple[Town, ...]
    families: tuple[str, ...]
    women: tuple[str, ...]
    men: tuple[str, ...]
    trades: tuple[Trade, ...]
    patterns: tuple[str, ...]
    """With {family} and {trade}; the legal form follows."""
    legal_forms: tuple[str, ...]
    streets: tuple[str, ...]
    """With {n} for the house number."""
    depots: tuple[str, ...]
    """Labels of further addresses."""
    positions: tuple[str, ...]


SECTORS = (
    "Mechanical engineering",
    "Metal processing",
    "Electronics",
    "Plastics",
    "Wood and furniture",
    "Food industry",
    "Building trade",
    "Wholesale",
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.strip().split(";") if item.strip())


def _towns(text: str, language: str = "") -> tuple[Town, ...]:
    rows = []
    for line in _items(text):
        postal, city, area, *own = (cell.strip() for cell in line.split("|"))
        rows.append(Town(postal, city, area, own[0] if own else language))
    return tuple(rows)


def _trades(text: str) -> tuple[Trade, ...]:
    pairs = (item.rsplit("=", 1) for item in _items(text))
    return tuple(Trade(name, SECTORS[int(number)]) for name, number in pairs)


_GERMAN_TRADES = _trades(
    "Maschinenbau=0; Werkzeugbau=0; Antriebstechnik=0; Fördertechnik=0; Pumpen=0; Hydraulik=0; "
    "Metallbau=1; Stahlhandel=7; Präzisionstechnik=1; Oberflächentechnik=1; Blechbearbeitung=1; "
    "Gießerei=1; Drahtwerke=1; Messtechnik=2; Elektrotechnik=2; Schaltanlagen=2; Sensorik=2; "
    "Kunststofftechnik=3; Spritzguss=3; Dichtungen=3; Verpackungen=3; Möbelwerkstätten=4; "
    "Holzbau=4; Sägewerk=4; Mühlenwerke=5; Brauereitechnik=5; Molkerei=5; Backwaren=5; "
    "Bauunternehmung=6; Bedachungen=6; Kälte- und Klimatechnik=6; Großhandel=7; Industriebedarf=7"
)
_GERMAN_POSITIONS = _items(
    "Geschäftsführung; Einkauf; Leitung Einkauf; Vertrieb; Buchhaltung; Technische Leitung; "
    "Lager und Logistik; Konstruktion; Qualitätssicherung; Assistenz der Geschäftsführung"
)
_GERMAN_PATTERNS = (
    "{family} {trade}",
    "{family} {trade}",
    "{family} {trade}",
    "{trade} {family}",
    "Gebrüder {family} {trade}",
    "{family} & Söhne {trade}",
)

GERMANY = Land(
    towns=_towns(
        "70173|Stuttgart|711; 72760|Reutlingen|7121; 73430|Aalen|7361; 74072|Heilbronn|7131; "
        "78462|Konstanz|7531; 79098|Freiburg im Breisgau|761; 76133|Karlsruhe|721; "
        "89073|Ulm|731; 80331|München|89; 86150|Augsburg|821; 90402|Nürnberg|911; "
        "93047|Regensburg|941; 97070|Würzburg|931; 85049|Ingolstadt|841; 94032|Passau|851; "
        "60311|Frankfurt am Main|69; 34117|Kassel|561; 35390|Gießen|641; 55116|Mainz|6131; "
        "56068|Koblenz|261; 66111|Saarbrücken|681; 50667|Köln|221; 40213|Düsseldorf|211; "
        "44135|Dortmund|231; 48143|Münster|251; 33602|Bielefeld|521; 58095|Hagen|2331; "
        "42103|Wuppertal|202; 52062|Aachen|241; 57072|Siegen|271; 30159|Hannover|511; "
        "38100|Braunschweig|531; 49074|Osnabrück|541; 37073|Göttingen|551; 28195|Bremen|421; "
        "20095|Hamburg|40; 23552|Lübeck|451; 24103|Kiel|431; 18055|Rostock|381; "
        "10115|Berlin|30; 39104|Magdeburg|391; 04109|Leipzig|341; 01067|Dresden|351; "
        "09111|Chemnitz|371; 99084|Erfurt|361; 07743|Jena|3641; 63739|Aschaffenburg|6021",
        "de",
    ),
    families=_words(
        "Müller Schäfer Köhler Böttcher Jäger Weiß Groß Krüger Schröder Günther Lübke Nüßlein "
        "Hübner Schütte Dörr Fröhlich Häberle Käßbohrer Löffler Mößner Pfänder Rößler Sänger "
        "Strauß Völker Wörner Zöllner Brändle Kröger Lindenau Schmidt Meier Becker Hartmann "
        "Kessler Vogelsang Eberhardt Reinhardt Winkler Bauer Dietrich Engelhardt Falkenstein "
        "Gerlach Heidenreich Kirchner Lorenz Nagel Osterkamp Petersen Riedel Seidel Thalheim "
        "Ullrich Wiedemann Zimmermann Achterberg Brockhaus Clausen Dahlmann"
    ),
    women=_words(
        "Käthe Bärbel Anna Sabine Claudia Heike Julia Katharina Lena Marlene Nicole "
        "Petra Renate Silke Tanja Ursula Verena Zoë Birgit"
    ),
    men=_words(
        "Jürgen Jörg Götz Günter Björn Hans-Jörg Andreas Bernd Christian Dieter Florian Gerhard "
        "Karl-Heinz Lukas Matthias Norbert Ralf Stefan Thomas Wolfgang"
    ),
    trades=_GERMAN_TRADES,
    patterns=_GERMAN_PATTERNS,
    legal_forms=("GmbH", "GmbH", "GmbH", "GmbH & Co. KG", "GmbH & Co. KG", "AG", "KG", "e. K."),
    streets=_items(
        "Hauptstraße {n}; Industriestraße {n}; Bahnhofstraße {n}; Gewerbestraße {n}; "
        "Siemensstraße {n}; Robert-Bosch-Straße {n}; Am Güterbahnhof {n}; Mühlenweg {n}; "
        "Daimlerstraße {n}; Rudolf-Diesel-Straße {n}; Lange Straße {n}; Schlossallee {n}; "
        "Zum Steinbruch {n}; Carl-Zeiss-Straße {n}; Königstraße {n}; Brühlstraße {n}"
    ),
    depots=("Werk 2", "Lager", "Zentrallager", "Rechnungsstelle", "Montagehalle Süd"),
    positions=_GERMAN_POSITIONS,
)

AUSTRIA = GERMANY._replace(
    towns=_towns(
        "1010|Wien|1; 8010|Graz|316; 4020|Linz|732; 5020|Salzburg|662; 6020|Innsbruck|512; "
        "9020|Klagenfurt am Wörthersee|463; 6850|Dornbirn|5572; 3100|St. Pölten|2742; "
        "4600|Wels|7242; 4400|Steyr|7252; 9500|Villach|4242; 8700|Leoben|3842; 6900|Bregenz|5574",
        "de",
    ),
    families=_words(
        "Grüner Öllinger Pöltl Hölzl Königsberger Mühlböck Schönbauer Wögerbauer Übelhör "
        "Kößldorfer Steindl Huber Gruber Mayrhofer Leitner Wallner Moosbrugger Zangerl Pichler"
    ),
    legal_forms=("GmbH", "GmbH", "Gesellschaft m.b.H.", "GmbH & Co KG", "AG", "KG"),
    streets=_items(
        "Linzer Straße {n}; Triester Straße {n}; Industriezeile {n}; Mühlgasse {n}; "
        "Wiener Straße {n}; Grazer Straße {n}; Schönbrunner Allee {n}; Bräuhausgasse {n}; "
        "Fürstenweg {n}; Am Gewerbepark {n}"
    ),
)

SWITZERLAND = GERMANY._replace(
    towns=_towns(
        "8001|Zürich|44|de; 3011|Bern|31|de; 4051|Basel|61|de; 6003|Luzern|41|de; "
        "9000|St. Gallen|71|de; 8400|Winterthur|52|de; 5000|Aarau|62|de; 4500|Solothurn|32|de; "
        "7000|Chur|81|de; 8200|Schaffhausen|52|de; 1204|Genève|22|fr; 1003|Lausanne|21|fr; "
        "2000|Neuchâtel|32|fr; 1700|Fribourg|26|fr; 1950|Sion|27|fr"
    ),
    families=_words(
        "Bürgi Zürcher Lüthi Hämmerli Nägeli Rüegg Schüpbach Wüthrich Gübeli Bärtschi Brönnimann "
        "Ammann Gerber Niederberger Odermatt Zurbriggen Aebischer Hürlimann Käser Stämpfli"
    ),
    legal_forms=("AG", "AG", "AG", "GmbH", "& Co.", "SA"),
    streets=_items(
        "Bahnhofstrasse {n}; Industriestrasse {n}; Zürcherstrasse {n}; Mühlebachstrasse {n}; "
        "Grüngasse {n}; Seefeldstrasse {n}; Gewerbestrasse {n}; Rue de l'Hôpital {n}; "
        "Avenue de la Gare {n}"
    ),
    depots=("Werk 2", "Lager", "Zentrallager", "Dépôt"),
)

FRANCE = Land(
    towns=_towns(
        "75011|Paris|1; 69003|Lyon|4; 13002|Marseille|4; 31000|Toulouse|5; 67000|Strasbourg|3; "
        "68100|Mulhouse|3; 44000|Nantes|2; 33000|Bordeaux|5; 59000|Lille|3; 35000|Rennes|2; "
        "38000|Grenoble|4; 42000|Saint-Étienne|4; 25000|Besançon|3; 54000|Nancy|3; "
        "87000|Limoges|5; 74000|Annecy|4",
        "fr",
    ),
    families=_words(
        "Lefèvre Bérard Dupré Gaël Hébert Lévêque Mével Noël Périer Rivière Thévenet Vallée "
        "Beaufrère Châtelain Desgrées Fournier Moreau Gauthier Bonnet Chevalier Dubœuf Étienne"
    ),
    women=_words("Chloé Élodie Hélène Zoé Amélie Béatrice Céline Françoise Inès Margaux Sylvie"),
    men=_words("François Rémi Jérôme Benoît Gaël Hervé Loïc Sébastien Théo Yannick Olivier Luc"),
    trades=_trades(
        "Mécanique=0; Outillage=0; Hydraulique=0; Convoyeurs=0; Métallerie=1; Chaudronnerie=1; "
        "Fonderie=1; Tôlerie=1; Électronique=2; Mesure=2; Automatismes=2; Plasturgie=3; "
        "Emballages=3; Menuiserie=4; Meubles=4; Laiterie=5; Brasserie=5; Meunerie=5; "
        "Bâtiment=6; Couverture=6; Négoce=7; Fournitures Industrielles=7"
    ),
    patterns=(
        "{family} {trade}",
        "Établissements {family} {trade}",
        "{trade} {family} et Fils",
        "Ateliers {family} {trade}",
    ),
    legal_forms=("SARL", "SAS", "SAS", "SA", "EURL"),
    streets=_items(
        "{n} rue de la République; {n} avenue du Général de Gaulle; {n} rue des Frères Lumière; "
        "{n} boulevard Victor Hugo; {n} chemin de l'Étang; {n} rue de l'Église; "
        "{n} zone industrielle des Prés; {n} quai de la Fosse; {n} rue du Château"
    ),
    depots=("Usine 2", "Entrepôt", "Dépôt nord", "Comptabilité"),
    positions=_items("Direction; Achats; Responsable achats; Comptabilité; Logistique; Qualité"),
)

SWEDEN = Land(
    towns=_towns(
        "111 22|Stockholm|8; 411 05|Göteborg|31; 211 22|Malmö|40; 753 20|Uppsala|18; "
        "582 22|Linköping|13; 702 11|Örebro|19; 722 11|Västerås|21; 553 16|Jönköping|36; "
        "252 21|Helsingborg|42",
        "sv",
    ),
    families=_words(
        "Åkesson Öberg Sjöström Björklund Lindström Hägglund Nyström Löfgren Bäckman Åström "
        "Söderberg Andersson Sandqvist Törnqvist"
    ),
    women=_words("Åsa Märta Linnéa Ingrid Karin Elsa Annika Malin Frida"),
    men=_words("Göran Håkan Björn Lars Mårten Sören Anders Nils Östen"),
    trades=_trades(
        "Mekaniska=0; Verktyg=0; Hydraulik=0; Plåt=1; Gjuteri=1; Elektronik=2; Mätteknik=2; "
        "Plast=3; Möbler=4; Sågverk=4; Mejeri=5; Bryggeri=5; Bygg=6; Grossist=7"
    ),
    patterns=("{family} {trade}", "{family}s {trade}", "{trade} {family} & Söner"),
    legal_forms=("AB", "AB", "AB", "HB"),
    streets=_items(
        "Storgatan {n}; Industrigatan {n}; Järnvägsgatan {n}; Kungsgatan {n}; Södra vägen {n}; "
        "Verkstadsgatan {n}; Hamngatan {n}"
    ),
    depots=("Lager", "Verkstad 2", "Ekonomi"),
    positions=_items("VD; Inköp; Inköpschef; Ekonomi; Lager; Teknisk chef"),
)

DENMARK = SWEDEN._replace(
    towns=_towns(
        "1050|København K|; 8000|Aarhus C|; 5000|Odense C|; 9000|Aalborg|; 6000|Kolding|; "
        "7100|Vejle|; 8900|Randers C|; 4000|Roskilde|; 6400|Sønderborg|; 3000|Helsingør|",
        "da",
    ),
    families=_words(
        "Sørensen Jørgensen Møller Kjær Østergaard Nørgaard Ågård Bæk Højlund Lærke Thygesen Skov"
    ),
    women=_words("Mette Søs Kirsten Gitte Bodil Anne-Grethe Sofie Karen"),
    men=_words("Søren Jørgen Lars Niels Bjørn Åge Henrik Mads Rasmus"),
    trades=_trades(
        "Maskinfabrik=0; Værktøj=0; Hydraulik=0; Smedje=1; Støberi=1; Elektronik=2; "
        "Måleteknik=2; Plast=3; Møbler=4; Savværk=4; Mejeri=5; Bryggeri=5; Byg=6; Engros=7"
    ),
    patterns=("{family} {trade}", "{family}s {trade}", "Brødrene {family} {trade}"),
    legal_forms=("A/S", "A/S", "ApS", "I/S"),
    streets=_items(
        "Hovedgaden {n}; Industrivej {n}; Nørregade {n}; Søndergade {n}; Havnegade {n}; "
        "Østre Allé {n}; Værkstedsvej {n}"
    ),
    depots=("Lager", "Værksted 2", "Bogholderi"),
    positions=_items("Direktør; Indkøb; Indkøbschef; Bogholderi; Lager; Teknisk chef"),
)

NORWAY = DENMARK._replace(
    towns=_towns(
        "0150|Oslo|2; 5003|Bergen|55; 7010|Trondheim|73; 4006|Stavanger|51; 9008|Tromsø|77; "
        "3015|Drammen|32; 8006|Bodø|75; 6002|Ålesund|70; 1606|Fredrikstad|69",
        "nb",
    ),
    families=_words("Østby Håland Bråten Bjørnstad Sæther Nygård Løvås Strømme Ødegaard Mælum"),
    women=_words("Åse Kjersti Ragnhild Solveig Tove Bjørg Ingebjørg Marit"),
    men=_words("Bjørn Håkon Øystein Kåre Torbjørn Sverre Åsmund Leif"),
    trades=_trades(
        "Mekaniske=0; Verktøy=0; Hydraulikk=0; Sveis=1; Støperi=1; Elektronikk=2; Måleteknikk=2; "
        "Plast=3; Møbler=4; Sagbruk=4; Meieri=5; Bryggeri=5; Bygg=6; Engros=7"
    ),
    patterns=("{family} {trade}", "{trade} {family}", "Brødrene {family} {trade}"),
    legal_forms=("AS", "AS", "ANS"),
    streets=_items(
        "Storgata {n}; Industriveien {n}; Kirkegata {n}; Strandgata {n}; Øvre Slottsgate {n}; "
        "Havneveien {n}; Fjordgata {n}"
    ),
    depots=("Lager", "Verksted 2", "Regnskap"),
    positions=_items("Daglig leder; Innkjøp; Innkjøpssjef; Regnskap; Lager; Teknisk sjef"),
)

FINLAND = SWEDEN._replace(
    towns=_towns(
        "00100|Helsinki|9; 33100|Tampere|3; 20100|Turku|2; 90100|Oulu|8; 40100|Jyväskylä|14; "
        "15110|Lahti|3; 65100|Vaasa|6; 53100|Lappeenranta|5",
        "fi",
    ),
    families=_words(
        "Mäkinen Hämäläinen Järvinen Niemelä Väisänen Kärkkäinen Pöyhönen Lähteenmäki Särkkä Ikonen"
    ),
    women=_words("Päivi Helmi Riitta Säde Tuuli Anneli Kaisa"),
    men=_words("Jyrki Väinö Pekka Yrjö Matti Antero Timo"),
    trades=_trades(
        "Konepaja=0; Työkalut=0; Hydrauliikka=0; Teräs=1; Valimo=1; Elektroniikka=2; "
        "Mittatekniikka=2; Muovi=3; Kalusteet=4; Saha=4; Meijeri=5; Panimo=5; Rakennus=6; Tukku=7"
    ),
    patterns=("{family} {trade}", "{trade} {family}", "{family} ja Pojat {trade}"),
    legal_forms=("Oy", "Oy", "Oyj", "Ky"),
    streets=_items(
        "Teollisuuskatu {n}; Asemakatu {n}; Hämeenkatu {n}; Kauppakatu {n}; Rautatienkatu {n}; "
        "Satamatie {n}; Länsiväylä {n}"
    ),
    depots=("Varasto", "Tehdas 2", "Talousosasto"),
    positions=_items("Toimitusjohtaja; Osto; Ostopäällikkö; Talous; Varasto; Tekninen johtaja"),
)

POLAND = Land(
    towns=_towns(
        "00-001|Warszawa|22; 30-001|Kraków|12; 50-001|Wrocław|71; 60-001|Poznań|61; "
        "80-001|Gdańsk|58; 90-001|Łódź|42; 40-001|Katowice|32; 20-001|Lublin|81; "
        "70-001|Szczecin|91; 35-001|Rzeszów|17",
        "pl",
    ),
    families=_words(
        "Wójcik Kamiński Kowalczyk Wiśniewski Dąbrowski Łukasiewicz Żółtowski Górski Zając Sęk "
        "Piątek Ćwikła Śliwiński Król Jabłoński"
    ),
    women=_words("Małgorzata Agnieszka Żaneta Bożena Łucja Grażyna Elżbieta Wioletta"),
    men=_words("Łukasz Michał Paweł Stanisław Zdzisław Bogdan Grzegorz Jędrzej Wojciech"),
    trades=_trades(
        "Maszyny=0; Narzędzia=0; Hydraulika=0; Obróbka Metali=1; Odlewnia=1; Elektronika=2; "
        "Pomiary=2; Tworzywa=3; Opakowania=3; Meble=4; Tartak=4; Mleczarnia=5; Browar=5; "
        "Budownictwo=6; Hurtownia=7"
    ),
    patterns=("{family} {trade}", "Zakłady {trade} {family}", "{trade} {family} i Synowie"),
    legal_forms=("Sp. z o.o.", "Sp. z o.o.", "S.A.", "Sp. j."),
    streets=_items(
        "ul. Przemysłowa {n}; ul. Długa {n}; ul. Kościuszki {n}; ul. Świętojańska {n}; "
        "al. Niepodległości {n}; ul. Fabryczna {n}; ul. Łąkowa {n}"
    ),
    depots=("Magazyn", "Zakład 2", "Księgowość"),
    positions=_items("Prezes; Zakupy; Kierownik zakupów; Księgowość; Magazyn; Dyrektor techniczny"),
)

LANDS: dict[str, Land] = {
    "DE": GERMANY,
    "AT": AUSTRIA,
    "CH": SWITZERLAND,
    "FR": FRANCE,
    "SE": SWEDEN,
    "DK": DENMARK,
    "NO": NORWAY,
    "FI": FINLAND,
    "PL": POLAND,
}
