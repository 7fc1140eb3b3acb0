"""A commune's domain that came after its boîtier is protected there, too: no list blocks it, whatever the centre says.

Process: worker.
Rule:    it is added once, when it comes: what a person takes off the policy later stays off.
"""

from __future__ import annotations

import msgspec
from django.db import transaction

from beffroi.boxes import actions, queries
from beffroi.core.communes import queries as communes
from beffroi.core.events.registry import Event, consumer
from beffroi.core.identity.actor import Actor


@consumer(name="boxes.domains", kinds=("communes:domain_added", communes.DOMAIN_PASSED))
def protect(event: Event) -> None:
    system, owner, name = Actor.system("boxes"), event.collectivite_id, str(event.payload["name"])
    with transaction.atomic():
        found = queries.current_policy(system, owner) if owner else None
        if owner is None or found is None:
            return  # the first policy of its boîtier names it
        version, policy = found
        if name not in policy.protected_names:
            actions.set_policy(
                actor=system,
                collectivite=communes.access_collectivite(system, owner),
                policy=msgspec.structs.replace(policy, protected_names=(*policy.protected_names, name)),
                base_version=version,
            )
