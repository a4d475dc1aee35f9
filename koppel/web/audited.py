"""What lines of the audit log say, in the person's language; the log keeps the English words."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from koppel.web.words import Words

ACTIONS: Words = {
    "see": _("saw"),
    "see card": _("saw the card"),
    "list": _("saw a list"),
    "export": _("exported"),
    "sign in": _("signed in"),
    "sign out": _("signed out"),
    "sign-in refused": _("was not let in"),
    "code refused": _("gave a wrong code"),
    "change password": _("changed the password"),
    "second factor on": _("set up a second factor"),
    "second factor off": _("took the second factor away"),
    "new recovery codes": _("made new recovery codes"),
    "reset second factor": _("reset a second factor"),
    "demand second factor": _("demanded a second factor"),
    "no longer demand second factor": _("no longer demanded a second factor"),
    "add user": _("added a user"),
    "user: add": _("added a user"),
    "set roles": _("set roles"),
    "user: roles": _("set roles"),
    "set password": _("set a password"),
    "user: password": _("set a password"),
    "user: let in": _("let a user in"),
    "user: keep out": _("kept a user out"),
    "remove user": _("removed a user"),
    "user: remove": _("removed a user"),
    "link user": _("linked a user to the sign-in service"),
    "set sign-in service": _("set the sign-in service"),
    "sign-in service off": _("switched the sign-in service off"),
    "change role": _("changed a role"),
    "add token": _("added a token"),
    "revoke token": _("revoked a token"),
    "add webhook": _("added a webhook"),
    "remove webhook": _("removed a webhook"),
    "webhook remove": _("removed a webhook"),
    "webhook stop": _("stopped a webhook"),
    "webhook test": _("tested a webhook"),
    "webhook again": _("sent a webhook's message again"),
    "make card link": _("had a link to the card made"),
    "card settings": _("changed the settings of the card"),
    "revoke card links": _("ended all links to the card"),
    "find person": _("looked for a person"),
    "export person": _("exported a person's data"),
    "plan erasure": _("planned an erasure"),
    "reject erasure": _("rejected an erasure"),
    "erase person": _("erased a person"),
    "set retention": _("set the times to keep documents"),
    "synchronise": _("synchronised"),
    "refresh": _("had it read anew"),
    "plan": _("had a plan made"),
    "plan undo": _("planned to take a run back"),
    "apply": _("carried a plan out"),
    "approve": _("approved a plan"),
    "reject": _("rejected a plan"),
    "couple": _("coupled"),
    "break": _("broke a pair"),
    "remake": _("took a pair up again"),
    "answer": _("answered a proposed pair"),
    "resolve": _("decided a conflict"),
    "release": _("released from quarantine"),
    "match forget": _("had answers forgotten"),
    "match remember": _("let answers count again"),
    "change rule": _("changed a rule"),
    "change mapping": _("changed a mapping"),
    "rename connection": _("renamed a connection"),
    "check": _("checked a connection"),
    "init": _("set Koppel up"),
    "import": _("read documents from a file"),
    "restore": _("restored a backup"),
    "rehearse": _("rehearsed on copies"),
    "introduction": _("did a step of the introduction"),
    "undo introduction": _("undid a step of the introduction"),
    "skip introduction": _("skipped a step of the introduction"),
    "schedule": _("changed the schedules"),
    "run job": _("began a job"),
    "close alarm": _("closed an alarm"),
    "transfer order": _("handed an order over"),
    "retry order": _("tried an order again"),
    "cancel order": _("cancelled a transfer"),
    "order change": _("an order was changed"),
    "change request done": _("saw to a change request"),
    "ask prices": _("asked for prices"),
    "record": _("a document could not be recorded"),
    "face": _("the ERP did not take what the CRM shows"),
    "keep values": _("added values of the ERP to the CRM"),
    "plan target group": _("planned a target group"),
    "write target group": _("wrote a target group"),
}

DETAILS: Words = {
    "records": _("records"),
    "looks": _("further looks"),
    "answers": _("how many answers"),
    "searched": _("by a search"),
    "since": _("from"),
    "until": _("to"),
    "rows": _("rows"),
    "form": _("format"),
    "found": _("found"),
    "roles": _("roles"),
    "rights": _("rights"),
    "scopes": _("scopes"),
    "version": _("version"),
    "field": _("field"),
    "entity": _("entity"),
    "says": _("says"),
    "trace": _("trace"),
    "by": _("by"),
    "why": _("why"),
    "factor": _("second factor"),
}


def offered() -> list[tuple[str, str]]:
    """(action, word) to choose from: one of those that have the same word, by word."""
    by_word = {str(label): name for name, label in reversed(list(ACTIONS.items()))}
    return sorted(((name, label) for label, name in by_word.items()), key=lambda one: one[1])


def alike(action: str) -> list[str]:
    """All actions with the word of this one; the action itself where it has none."""
    if action not in ACTIONS:
        return [action] if action else []
    return [name for name, label in ACTIONS.items() if str(label) == str(ACTIONS[action])]
