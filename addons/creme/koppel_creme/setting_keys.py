"""A hidden mark in Creme's settings: the add-on has already been put on the pages once."""

from creme.creme_core.core.setting_key import SettingKey

placed = SettingKey(
    id="koppel_creme-placed",
    description="Koppel's block was put on the pages once.",
    app_label="koppel_creme",
    type=SettingKey.BOOL,
    hidden=True,
)
