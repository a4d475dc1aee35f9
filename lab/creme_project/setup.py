"""Sets a Creme up, inside Creme's own virtual environment, through Creme's own commands.

`python -m lab.creme_project.setup migrate|populate|demo`; the settings read the environment.
Progress goes to standard output as lines `@ <share> <sentence>`.

* `migrate`: the tables. A process of its own, because Creme must start differently for it.
* `populate`: Creme's own start values, then what the lab needs: own company, users, rates, media.
* `demo`: the demo world's organisations and contacts; their ids go to `seeded.json`.
"""

import io
import os
import sys
from decimal import Decimal

from lab.world import PAYMENT_TERMS

MANAGED = "Nordwerk Maschinenbau GmbH"
USERS = {
    "koppel": ("Koppel", "Coupling", "koppel@nordwerk.example"),
    "clara": ("Clara", "Sommer", "clara.sommer@nordwerk.example"),
    "paul": ("Paul", "Brandt", "paul.brandt@nordwerk.example"),
}
CURRENCIES = {
    "EUR": ("Euro", "€"),
    "CHF": ("Swiss franc", "CHF"),
    "SEK": ("Swedish krona", "kr"),
    "NOK": ("Norwegian krone", "kr"),
    "DKK": ("Danish krone", "kr"),
    "PLN": ("Polish zloty", "zł"),
}
VAT_RATES = ("19.00", "7.00", "0.00")


def report(share: float, sentence: str) -> None:
    """Tell the process that started this one how far things are."""
    print(f"@ {share:.3f} {sentence}", flush=True)


class Counting(io.StringIO):
    """Standard output of a Creme command: each line that starts with a word moves the share."""

    def __init__(self, word: str, total: int, sentence: str, share: tuple[float, float]) -> None:
        super().__init__()
        self.word, self.total, self.sentence, self.share = word, total, sentence, share
        self.count = 0

    def write(self, text: str) -> int:
        if text.lstrip().startswith(self.word):
            self.count += 1
            low, high = self.share
            done = min(1.0, self.count / self.total)
            report(low + (high - low) * done, f"{self.sentence} ({self.count})")
        return len(text)


def migrate() -> None:
    """Make or bring up to date all tables."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db.migrations.loader import MigrationLoader

    report(0.03, "Creme: reading its migrations")
    total = len(MigrationLoader(None).disk_migrations)
    out = Counting("Applying", total, "Creme: making its tables", (0.05, 1.0))
    call_command("migrate", verbosity=1, interactive=False, stdout=out, no_color=True)


def populate() -> None:
    """Creme's start values and the lab's; harmless when repeated."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    out = Counting("Populate", 12, "Creme: filling in its start values", (0.15, 0.85))
    with transaction.atomic():
        call_command("creme_populate", verbosity=1, stdout=out, no_color=True)
        report(0.86, "Creme: own company, users and rates")
        own_company()
        rates()
        terms()
        people()


def own_company() -> None:
    """Give the organisation that Creme made for itself the name of the demo's company."""
    from creme.persons import get_address_model, get_organisation_model
    from creme.persons.constants import UUID_FIRST_ORGA

    company = get_organisation_model().objects.get(uuid=UUID_FIRST_ORGA)
    if company.name == MANAGED:
        return
    company.name = MANAGED
    company.tvaintra = "DE811907980"
    company.phone = "+49 421 4470 0"
    company.email = "info@nordwerk.example"
    company.billing_address = get_address_model().objects.create(
        owner=company,
        name="Billing address",
        address="Werftstraße 14",
        zipcode="28237",
        city="Bremen",
        country="Germany",
    )
    company.save()


def rates() -> None:
    """VAT rates of Germany (19 % is the default) and the currencies of the demo's customers."""
    from creme.creme_core.models import Currency, Vat

    for rate in VAT_RATES:
        Vat.objects.get_or_create(value=Decimal(rate), defaults={"is_custom": False})
    standard = Vat.objects.get(value=Decimal(VAT_RATES[0]))
    if not standard.is_default:
        standard.is_default = True
        standard.save()
    for code, (name, symbol) in CURRENCIES.items():
        Currency.objects.get_or_create(
            international_symbol=code, defaults={"name": name, "local_symbol": symbol}
        )


def terms() -> None:
    """The payment terms that the ERP of the demo knows, by the same names."""
    from creme.billing.models import PaymentTerms

    for name in PAYMENT_TERMS:
        PaymentTerms.objects.get_or_create(name=name)


def people() -> None:
    """The user behind Koppel's interface and two people of sales, each with the least rights."""
    from creme.creme_core.auth.special import special_perm_registry
    from creme.creme_core.models import CremeUser

    own = {p.id: p for p in special_perm_registry.permissions if p.id.startswith("koppel")}
    lists = own.pop("koppel_creme-keep_lists")
    roles = {
        "koppel": coupling_role(lists),
        "clara": sales_role("Sales, may synchronise", list(own.values())),
        "paul": sales_role("Sales", []),
    }
    for username, (first_name, last_name, email) in USERS.items():
        if not CremeUser.objects.filter(username=username).exists():
            CremeUser.objects.create_user(
                username=username,
                first_name=first_name,
                last_name=last_name,
                email=email,
                password=username,
                role=roles[username],
            )


def coupling_role(*special):
    """All rights on partners, products, quotes, orders and invoices; a look at opportunities."""
    from creme import billing, opportunities, persons, products
    from creme.creme_core.auth.entity_credentials import EntityCredentials
    from creme.creme_core.models import SetCredentials, UserRole
    from django.contrib.contenttypes.models import ContentType

    opportunity = opportunities.get_opportunity_model()
    models = [
        persons.get_organisation_model(),
        persons.get_contact_model(),
        products.get_product_model(),
        products.get_service_model(),
        billing.get_quote_model(),
        billing.get_sales_order_model(),
        billing.get_invoice_model(),
        billing.get_credit_note_model(),
        billing.get_product_line_model(),
        billing.get_service_line_model(),
    ]
    role, _new = UserRole.objects.get_or_create(name="Koppel")
    role.allowed_apps = ["persons", "products", "billing", "opportunities"]
    role.special_permissions = special
    role.save()
    types = [ContentType.objects.get_for_model(model) for model in models]
    role.creatable_ctypes.set(types)
    role.listable_ctypes.set(types)
    there = set(SetCredentials.objects.filter(role=role).values_list("ctype", flat=True))
    for model, content_type in zip(models, types, strict=True):
        if content_type.pk not in there:
            allow_all(role, model)
    seen = ContentType.objects.get_for_model(opportunity)
    if seen.pk not in there:
        SetCredentials.objects.create(
            role=role,
            set_type=SetCredentials.ESET_ALL,
            ctype=seen,
            value=EntityCredentials.VIEW,
        )
    return role


def sales_role(name, special):
    """What a salesperson may: everything in the sales apps, nothing in the configuration."""
    from creme.creme_core.models import UserRole
    from creme.creme_core.registry import creme_registry

    apps = ["persons", "documents", "activities", "products", "billing", "opportunities"]
    apps += ["commercial", "assistants"]
    models = [m for m in creme_registry.iter_entity_models() if m._meta.app_label in apps]
    found = UserRole.objects.filter(name=name).first()
    role = found or UserRole.objects.smart_create(
        name=name, creatable_models=models, listable_models=models, exportable_models=models
    )
    role.allowed_apps = apps
    role.special_permissions = special
    role.save()
    if not found:
        allow_all(role, None)
    return role


def allow_all(role, model) -> None:
    """All rights on all entities of a model (None: of any model in the role's apps)."""
    from creme.creme_core.auth.entity_credentials import EntityCredentials as Rights
    from creme.creme_core.models import SetCredentials
    from django.contrib.contenttypes.models import ContentType

    SetCredentials.objects.create(
        role=role,
        set_type=SetCredentials.ESET_ALL,
        ctype=ContentType.objects.get_for_model(model) if model else None,
        value=Rights.VIEW | Rights.CHANGE | Rights.DELETE | Rights.LINK | Rights.UNLINK,
    )


def demo() -> None:
    """The demo world, in one transaction."""
    import django

    django.setup()
    from lab.creme_project.seed import seed

    seed(report)


STEPS = {"migrate": migrate, "populate": populate, "demo": demo}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lab.creme_project.settings")
    STEPS[sys.argv[1]]()


if __name__ == "__main__":
    main()
