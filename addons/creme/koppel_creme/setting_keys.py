"""Hidden marks in Creme's settings: what the add-on has already put on the pages once."""

from creme.creme_core.core.setting_key import SettingKey

placed = SettingKey(
    id="koppel_creme-placed",
    description="Koppel's block was put on the pages once.",
    app_label="koppel_creme",
    type=SettingKey.BOOL,
    hidden=True,
)

products_placed = SettingKey(
    id="koppel_creme-products_placed",
    description="Koppel's blocks and fields for products and prices were put in place once.",
    app_label="koppel_creme",
    type=SettingKey.BOOL,
    hidden=True,
)

sales_placed = SettingKey(
    id="koppel_creme-sales_placed",
    description="Koppel's blocks, button and fields for sales were put in place once.",
    app_label="koppel_creme",
    type=SettingKey.BOOL,
    hidden=True,
)
