"""Accounts against a model of a few lines: sign-ins, guesses, rotation, two tabs, theft, signing out, in any order.

A real gateway and the real database; a failing history is shrunk and shown.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from db.mysql.database import Database
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, System, running

PASSWORD, WRONG = "a long enough password", "a long but wrong password"
LOCKED_AFTER = 5
TOKENS = st.integers(0, 7)


@dataclass(slots=True)
class Family:
    """What the model knows of one sign-in: whether it lives, and which of its refresh tokens were spent long ago."""

    alive: bool = True
    access: list[str] = field(default_factory=list)
    spent: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)


class Accounts(RuleBasedStateMachine):
    """One account, everything that can be done with its tokens."""

    runner: asyncio.Runner
    system: System
    own_database: Database
    serial = itertools.count()

    @initialize()
    def register(self) -> None:
        """A new account; its address is nobody else's, in whatever case it is written."""
        self.email = f"model{next(self.serial)}@example.test"
        self.failures = 0
        self.tokens: list[tuple[str, Family]] = []
        self.access = ""
        account = {"email": self.email, "password": PASSWORD}
        assert self.post("/api/auth/register", account).status == 201
        taken = self.post("/api/auth/register", account | {"email": self.email.upper()})
        assert (taken.status, taken.code) == (409, "EMAIL_TAKEN")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def post(self, path: str, body: object, *, token: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer: Answer = self.run(self.system.api().post(path, body, wait=None, headers=headers))
        return answer

    @property
    def locked(self) -> bool:
        """Whether too many have tried."""
        return self.failures >= LOCKED_AFTER

    @rule()
    def sign_in(self) -> None:
        """Unless it is locked, the right password begins a family, and failures are forgotten."""
        answer = self.post("/api/auth/login", {"email": self.email, "password": PASSWORD})
        assert answer.status == (401 if self.locked else 200), answer.body
        if answer.status == 200:
            self.failures = 0
            self.keep(answer, Family())

    def keep(self, answer: Answer, family: Family) -> None:
        """A pair that the family has been given."""
        self.access = answer.body["accessToken"]
        family.access.append(self.access)
        self.tokens.append((answer.body["refreshToken"], family))

    @rule(times=st.integers(1, 4))
    def guess(self, times: int) -> None:
        """A wrong password is 401 like everything else, and counts."""
        for _ in range(times):
            answer = self.post("/api/auth/login", {"email": self.email, "password": WRONG})
            assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
            if not self.locked:
                self.failures += 1

    @precondition(lambda self: self.tokens)
    @rule(number=TOKENS)
    def refresh(self, number: int) -> None:
        """A token of a family that lives gives the next, also again just after; one spent long ago ends the family."""
        token, family = self.tokens[number % len(self.tokens)]
        answer = self.post("/api/auth/refresh", {"refreshToken": token})
        if family.alive and token not in family.stale:
            assert answer.status == 200, answer.body
            family.spent.add(token)
            self.keep(answer, family)
        else:
            assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
            family.alive = False

    @rule()
    def time_passes(self) -> None:
        """Whatever was spent was spent eleven seconds ago."""
        self.run(
            self.own_database.write(
                "UPDATE refresh_tokens SET spent_at = spent_at - INTERVAL 11 SECOND"
            )
        )
        for _, family in self.tokens:
            family.stale |= family.spent

    @precondition(lambda self: self.tokens)
    @rule(number=TOKENS)
    def look(self, number: int) -> None:
        """An access token works as long as its family lives: this gateway ended it, so it knows at once."""
        _, family = self.tokens[number % len(self.tokens)]
        for token in family.access:
            headers = {"Authorization": f"Bearer {token}"}
            answer: Answer = self.run(self.system.api().get("/api/auth/me", headers=headers))
            assert answer.status == (200 if family.alive else 401)

    @precondition(lambda self: self.tokens)
    @rule(number=TOKENS)
    def sign_out(self, number: int) -> None:
        """Ends the family of the token that is given, spent or not; 204 to whoever is signed in."""
        token, family = self.tokens[number % len(self.tokens)]
        signed_in = any(one.alive and self.access in one.access for _, one in self.tokens)
        answer = self.post("/api/auth/logout", {"refreshToken": token}, token=self.access)
        assert answer.status == (204 if signed_in else 401)
        if signed_in:
            family.alive = False


def test_accounts_agree_with_the_model(scratch: Scratch, seed: int) -> None:
    """Ten histories of up to twenty steps."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        system = runner.run(stack.enter_async_context(running(scratch, workers=())))
        Accounts.runner, Accounts.system = runner, system
        Accounts.own_database = runner.run(Database.connect(scratch.mysql_url, size=1))
        chosen = settings(
            max_examples=10,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            seeded(seed)(Accounts)
            run_state_machine_as_test(Accounts, settings=chosen)
        finally:
            runner.run(Accounts.own_database.close())
            runner.run(stack.aclose())
