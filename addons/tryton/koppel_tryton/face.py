"""What people in Tryton see of the CRM: owner, source, last activity, and a link to Koppel."""

from trytond.model import Model, ModelView, fields


class Faced(Model):
    """Fields that Koppel writes and people read."""

    koppel_told = ("owner", "source", "activity", "url")

    koppel_crm_owner = fields.Char("CRM Owner", help="Who looks after it in the CRM.")
    koppel_crm_source = fields.Char("CRM Source", help="Where it came from, as the CRM says.")
    koppel_crm_activity = fields.Char(
        "Last CRM Activity", help="What was done last in the CRM, and when."
    )
    koppel_crm_url = fields.Char("Koppel", help="Koppel's page about both sides.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({"koppel_open_card": {}})

    @classmethod
    @ModelView.button_action("koppel.act_open_card")
    def koppel_open_card(cls, records):
        pass

    @classmethod
    def copy(cls, records, default=None):
        default = default.copy() if default is not None else {}
        for name in cls.koppel_told:
            default.setdefault(f"koppel_crm_{name}")
        return super().copy(records, default=default)
