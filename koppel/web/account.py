"""Signing in and out, one's own password and language."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.i18n import set_language

from koppel.web.notes import note
from koppel.web.rights import OPEN, PERSON, declare, who
from koppel.web.service import current


class SignInForm(AuthenticationForm):
    """Name and password; locked for a while after too many failures."""

    error_messages = {  # noqa: RUF012  (Django's own form of it)
        "invalid_login": gettext_lazy("Name and password do not fit."),
        "inactive": gettext_lazy("Name and password do not fit."),
    }

    def clean(self) -> dict[str, Any]:
        """The password is not even looked at while the name is locked."""
        people = current().store.people
        name = str(self.cleaned_data.get("username") or "")
        address = address_of(self.request)
        if people.locked(name, address):
            raise forms.ValidationError(
                _("Too many failed attempts. Try again in a quarter of an hour.")
            )
        try:
            cleaned: dict[str, Any] = super().clean()
        except forms.ValidationError:
            people.sign_in_failed(name, address)
            current().store.audit_log.write("", "sign-in refused", address)
            raise
        people.signed_in(name, address)
        return cleaned


def address_of(request: HttpRequest | None) -> str:
    """The address of who asks; behind a proxy, what the server was told to trust."""
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "web/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Signed in: the audit log knows."""
        answer = super().form_valid(form)
        current().store.audit_log.write(who(self.request), "sign in", address_of(self.request))
        return answer


class SignOut(LogoutView):
    """Ends the session."""

    next_page = "/login"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """By a button, so that no other page can sign anybody out."""
        current().store.audit_log.write(who(request), "sign out")
        return super().post(request, *args, **kwargs)


sign_in = declare(OPEN)(SignIn.as_view())
sign_out = declare(PERSON)(SignOut.as_view())


@declare(PERSON)
def account(request: HttpRequest) -> HttpResponse:
    """One's own account: name, roles, rights, and a new password."""
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        current().store.audit_log.write(who(request), "change password")
        note(request, _("Your password is changed."))
        return redirect("account")
    person = current().store.people.get(who(request))
    return render(request, "web/account.html", {"form": form, "person": person})


@declare(OPEN)
def language(request: HttpRequest) -> HttpResponse:
    """Choose the language of the pages; kept in a cookie."""
    return set_language(request)
