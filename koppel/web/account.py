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
from koppel.web.rights import HALF, OPEN, PERSON, declare, who
from koppel.web.second_factor import address_of, half_way
from koppel.web.service import current


class SignInForm(AuthenticationForm):
    """Name and password; locked for a while after too many failures."""

    error_messages = {  # noqa: RUF012  (Django's own form of it)
        "invalid_login": gettext_lazy("Name and password do not fit."),
        "inactive": gettext_lazy("Name and password do not fit."),
    }

    def clean(self) -> dict[str, Any]:
        """The password is not even looked at while the name is locked."""
        people, provider = current().store.people, current().store.provider.settings()
        if provider is not None and not provider.passwords:
            raise forms.ValidationError(_("Sign in by the sign-in service."))
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
        return cleaned


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "web/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """The sign-in service of the company, where one is set up."""
        told: dict[str, Any] = super().get_context_data(**context)
        told["provider"] = current().store.provider.settings()
        return told

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Signed in, which the audit log knows; with a second factor, half way there."""
        store, user = current().store, form.get_user()
        if store.second_factors.standing(user).factor is not None:
            return half_way(self.request, user, self.get_success_url())
        answer = super().form_valid(form)
        store.people.signed_in(user.get_username(), address_of(self.request))
        store.audit_log.write(who(self.request), "sign in", address_of(self.request))
        return answer


class SignOut(LogoutView):
    """Ends the session."""

    next_page = "/login"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """By a button, so that no other page can sign anybody out."""
        current().store.audit_log.write(who(request), "sign out")
        return super().post(request, *args, **kwargs)


sign_in = declare(OPEN)(SignIn.as_view())
sign_out = declare(HALF)(SignOut.as_view())


@declare(PERSON)
def account(request: HttpRequest) -> HttpResponse:
    """One's own account: name, roles, rights, and a new password."""
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        current().store.audit_log.write(who(request), "change password")
        note(request, _("Your password is changed."))
        return redirect("account")
    store = current().store
    context = {
        "form": form,
        "person": store.people.get(who(request)),
        "factor": store.second_factors.standing(request.user),
    }
    return render(request, "web/account.html", context)


@declare(OPEN)
def language(request: HttpRequest) -> HttpResponse:
    """Choose the language of the pages; kept in a cookie."""
    return set_language(request)
