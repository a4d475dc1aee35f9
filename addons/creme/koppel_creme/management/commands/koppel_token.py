"""`koppel_token USER`: make a token with which Koppel calls Creme as that user."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from koppel_creme.models import Token
from koppel_creme.tokens import new_token


class Command(BaseCommand):
    help = "Makes a token for Koppel; all that is done with it is done as the given Creme user."

    def add_arguments(self, parser):
        parser.add_argument("user", help="name of the Creme user")
        parser.add_argument("--label", default="", help="what the token is for")
        parser.add_argument(
            "--revoke", action="store_true", help="take away all tokens of this user instead"
        )

    def handle(self, *, user, label, revoke, **options):
        found = get_user_model().objects.filter(username=user).first()
        if found is None:
            raise CommandError(f"There is no Creme user named {user}; create the user first.")
        if found.is_team:
            raise CommandError(f"{user} is a team; a token needs a single user.")
        if revoke:
            count, _ = Token.objects.filter(user=found).delete()
            self.stdout.write(f"{count} tokens of {user} were taken away.")
            return
        self.stdout.write(new_token(found, label))
