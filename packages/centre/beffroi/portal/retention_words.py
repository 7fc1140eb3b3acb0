"""What the purge deletes, in words. A category without words is shown by its name: nothing that is deleted hides."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.core.retention import registry
from beffroi.core.retention.queries import Report
from beffroi.portal.counts import Count

CATEGORIES = {
    "decisions": gettext_lazy("Décisions terminées"),
    "exceptions": gettext_lazy("Exceptions locales terminées"),
    "never_again": gettext_lazy("« Plus jamais » retirés"),
    "feed_lines": gettext_lazy("Anciennes lignes envoyées aux boîtiers"),
    "approvals": gettext_lazy("Seconds avis rendus"),
    "withdrawn_copies": gettext_lazy("Traces des copies retirées"),
    "withdrawals": gettext_lazy("Retraits de courriels terminés"),
    "held_mails": gettext_lazy("Courriels qui ne sont plus retenus"),
    "former_sender_rules": gettext_lazy(
        "Réponses remplacées sur un expéditeur (lui faire confiance, le bloquer)"
    ),
    "mail_lessons": gettext_lazy("Ce que le filtre a appris, et de qui"),
    "notices": gettext_lazy("Messages de Beffroi envoyés aux boîtes"),
    "bank_mentions": gettext_lazy("Courriels avec coordonnées bancaires"),
    "bank_details": gettext_lazy("Coordonnées bancaires déjà vues, en empreintes"),
    "messages": gettext_lazy("Traces de courriels"),
    "texts": gettext_lazy("Empreintes de textes de courriels"),
    "deliveries": gettext_lazy("Traces de remise"),
    "imports": gettext_lazy("Reprises d’anciennes boîtes, terminées"),
    "abandoned_imports": gettext_lazy("Reprises d’anciennes boîtes abandonnées, avec leur mot de passe"),
    "sendings": gettext_lazy("Envois du courrier en ligne"),
    "absences": gettext_lazy("Absences terminées"),
    "scripts": gettext_lazy("Scripts de logiciels de courriel, boîtes fermées"),
    "forwards": gettext_lazy("Renvois terminés"),
    "sightings": gettext_lazy("Signalements"),
    "campaigns": gettext_lazy("Campagnes"),
    "incidents": gettext_lazy("Dossiers clos, hors plainte"),
    "encounters": gettext_lazy("Résultats de rétrospective"),
    "sessions": gettext_lazy("Sessions expirées"),
    "device_links": gettext_lazy("Liens pour régler un téléphone, expirés"),
    "login_flows": gettext_lazy("Demandes d’accès de logiciels aux fichiers"),
    "rescue_codes": gettext_lazy("Codes de dépannage"),
    "activation_codes": gettext_lazy("Codes de feuilles d’accès"),
    "membership_offers": gettext_lazy("Questions à des personnes d’autres collectivités"),
    "sign_ins": gettext_lazy("Connexions réussies"),
    "handlings": gettext_lazy("Boîtes de service : qui s’occupait de quoi"),
    "mail_notes": gettext_lazy("Boîtes de service : notes"),
    "former_members": gettext_lazy("Boîtes de service : anciens lecteurs"),
    "former_alias_targets": gettext_lazy("Alias : boîtes retirées"),
    "former_catch_alls": gettext_lazy("Adresses inconnues : réceptions terminées"),
    "private_calendars": gettext_lazy("Agendas et contacts privés de personnes parties"),
    "departures": gettext_lazy("Départs confirmés ou annulés"),
    "closed_accounts": gettext_lazy("Noms de comptes fermés"),
    "closed_administrators": gettext_lazy("Noms d’anciens administrateurs du Département"),
    "flow_counts": gettext_lazy("Connexions refusées, par jour"),
    "refused_days": gettext_lazy("Totaux refusés, par jour"),
    "box_notices": gettext_lazy("Avis de boîtiers"),
    "learned_flows": gettext_lazy("Usages observés puis disparus"),
    "bypasses": gettext_lazy("Contournements disparus"),
    "diagnoses": gettext_lazy("Diagnostics de boîtiers"),
    "enrolment_codes": gettext_lazy("Anciens codes de boîtiers"),
    "weather_days": gettext_lazy("Météo des jours passés"),
    "domain_checks": gettext_lazy("Vérifications de domaines"),
    "dkim_keys": gettext_lazy("Anciennes clés de signature, partie publique"),
    "dmarc_rows": gettext_lazy("Qui a envoyé au nom d’un domaine, par rapport reçu"),
    "dmarc_reports": gettext_lazy("Rapports d’autres serveurs sur un domaine"),
    "complaints": gettext_lazy("Plaintes de destinataires sur un courriel envoyé d’ici"),
    "tls_reports": gettext_lazy("Rapports de chiffrement d’autres serveurs"),
    "report_refusals": gettext_lazy("Nombres de rapports refusés"),
    "partner_tls": gettext_lazy("Chiffrement de ce qui est parti, par domaine et jour"),
    "lane_days": gettext_lazy("Réponses d’autres serveurs à nos adresses d’envoi, par jour"),
    "refused_days_of_mailboxes": gettext_lazy("Destinataires refusés, par boîte et jour"),
    "sending_alarms": gettext_lazy("Alertes d’envoi closes"),
    "doubted_senders": gettext_lazy("Comptes qui ont été douteux"),
    "probe_runs": gettext_lazy("Courriels de contrôle du centre"),
    "relay_days": gettext_lazy("Envois des copieurs par le relais du boîtier, par jour"),
    "answered_slots": gettext_lazy("Réponses aux envois, par boîte et cinq minutes"),
    "relay_requests": gettext_lazy("Demandes de relais pour les copieurs, une fois répondues"),
    "opening_requests": gettext_lazy("Demandes d’ouverture du boîtier, une fois refusées ou terminées"),
    "restores": gettext_lazy("Demandes de restauration de courriels"),
    "events": gettext_lazy("Événements internes"),
    "facts": gettext_lazy("Ce que courrier, Coffre et connexions ont rapporté au centre"),
    "delegated_acts": gettext_lazy(
        "Boîtes confiées : ce que la personne remplaçante a lu et envoyé, par jour"
    ),
    "delegations": gettext_lazy("Boîtes confiées : à qui, de quel jour à quel jour"),
    "mail_export_files": gettext_lazy("Exports de boîtes fermées : fichiers"),
    "mail_exports": gettext_lazy("Exports de boîtes fermées : liste"),
    "commune_exports": gettext_lazy("Exports de toute une collectivité : liste"),
    "commune_leavings": gettext_lazy("Départs de collectivités annulés"),
    "commune_erasure_requests": gettext_lazy("Effacements de collectivités refusés ou abandonnés"),
    "mail_erasure_requests": gettext_lazy("Effacements de boîtes refusés ou abandonnés"),
    "retention_runs": gettext_lazy("Rapports de purge"),
}


def category(name: str) -> str:
    return str(CATEGORIES.get(name, name))


def kept(days: int) -> str:
    """``30 jours``, ``6 ans``; 0: what carries its own end."""
    if not days:
        return _("jusqu’à leur terme")
    years = days // 365
    if years and days % 365 <= (years + 3) // 4:  # leap days
        return ngettext("%(n)s an", "%(n)s ans", years) % {"n": Count(years)}
    return ngettext("%(n)s jour", "%(n)s jours", days) % {"n": Count(days)}


def rows(found: Report) -> list[dict[str, Any]]:
    """A line of each category: for how many days it is kept, and what the last purge did with it, if it did."""
    deleted = {one.category: one for one in found.counts}
    return [
        {
            "label": category(one.name),
            "kept": kept(getattr(settings.BEFFROI, one.kept) if isinstance(one.kept, str) else one.kept),
            "count": deleted.get(one.name),
        }
        for one in registry.categories()
    ]
