"""Mail domains in plain words: what was found where a connection was needed, and on the way there (TLS, IPv6, RPKI)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy

CENTRE = gettext_lazy("C’est au Département de le corriger : la commune n’a rien à faire.")
HOST = gettext_lazy("À demander au prestataire du domaine ; le courrier fonctionne sans.")
LATER = gettext_lazy("Rien à faire : la vérification recommence chaque jour.")
HOSTER = gettext_lazy("C’est à l’hébergeur du Département de publier le ROA : la commune n’a rien à faire.")
LABELS = {
    "tls_versions": gettext_lazy("Anciennes versions de TLS"),
    "tls_suites": gettext_lazy("Chiffrements faibles"),
    "tls_order": gettext_lazy("Choix du chiffrement"),
    "tls_parameters": gettext_lazy("Échange de clés"),
    "tls_compression": gettext_lazy("Compression dans TLS"),
    "tls_renegotiation": gettext_lazy("Reprise de négociation"),
    "tls_master_secret": gettext_lazy("Clé liée à la négociation"),
    "tls_early_data": gettext_lazy("Données anticipées (0-RTT)"),
    "tls_key": gettext_lazy("Clé et signature du certificat"),
    "rpki_mx": gettext_lazy("Chemin vers notre serveur (RPKI)"),
    "rpki_ns": gettext_lazy("Chemin vers les serveurs de noms (RPKI)"),
    "rpki_mx_ns": gettext_lazy("Chemin vers nos serveurs de noms (RPKI)"),
}
SAID: dict[tuple[str, str], tuple[Any, Any]] = {
    ("mx_ipv6", "refused"): (
        gettext_lazy("Notre serveur a une adresse IPv6, mais n’y répond pas."),
        CENTRE,
    ),
    ("mx_ipv6", "silent"): (
        gettext_lazy("Pas mesuré ici : cette machine n’atteint pas l’adresse IPv6 de notre serveur."),
        LATER,
    ),
    ("ns_ipv6", "silent"): (
        gettext_lazy("Moins de deux serveurs de noms répondent en IPv6, alors qu’ils en ont l’adresse."),
        HOST,
    ),
    ("ns_ipv6", "no_way"): (
        gettext_lazy("Pas mesuré ici : le centre n’a pas d’accès IPv6."),
        LATER,
    ),
    ("", "silent"): (
        gettext_lazy("Pas vérifié : notre serveur n’est pas joignable d’ici."),
        LATER,
    ),
    ("tls_versions", "old"): (
        gettext_lazy("Notre serveur accepte encore d’anciennes versions du chiffrement."),
        CENTRE,
    ),
    ("tls_suites", "weak"): (
        gettext_lazy("Notre serveur accepte un chiffrement faible."),
        CENTRE,
    ),
    ("tls_order", "client"): (
        gettext_lazy("Notre serveur laisse l’autre choisir un chiffrement moins bon que le sien."),
        CENTRE,
    ),
    ("tls_parameters", "small"): (
        gettext_lazy("Notre serveur accepte un échange de clés trop court."),
        CENTRE,
    ),
    ("tls_compression", "used"): (
        gettext_lazy("Notre serveur compresse ce qu’il chiffre : une attaque connue (CRIME) en profite."),
        CENTRE,
    ),
    ("tls_renegotiation", "insecure"): (
        gettext_lazy("Notre serveur ne protège pas la reprise de la négociation."),
        CENTRE,
    ),
    ("tls_master_secret", "absent"): (
        gettext_lazy("Notre serveur ne lie pas la clé à toute la négociation (RFC 7627)."),
        CENTRE,
    ),
    ("tls_early_data", "taken"): (
        gettext_lazy(
            "Notre serveur accepte des données avant la fin de la négociation : on peut les rejouer."
        ),
        CENTRE,
    ),
    ("tls_early_data", "no_program"): (
        gettext_lazy("Pas mesuré ici : le programme openssl manque au centre."),
        gettext_lazy("Le Département installe le paquet openssl."),
    ),
    ("tls_key", "short"): (
        gettext_lazy("La clé du certificat de notre serveur est trop courte."),
        CENTRE,
    ),
    ("tls_key", "signature"): (
        gettext_lazy("Le certificat de notre serveur est signé par un procédé abandonné."),
        CENTRE,
    ),
    ("", "no_validator"): (
        gettext_lazy("Non mesuré ici : le centre n’a pas de validateur RPKI."),
        gettext_lazy(
            "Le Département peut en installer un (rpki-client ou Routinator) et le dire au réglage rpki_payloads."
        ),
    ),
    ("", "stale"): (
        gettext_lazy("Non mesuré ici : le fichier du validateur RPKI a plus d’un jour."),
        gettext_lazy("Le Département vérifie que le validateur fonctionne."),
    ),
    ("", "unreadable"): (
        gettext_lazy("Non mesuré ici : le fichier du validateur RPKI ne peut pas être lu."),
        gettext_lazy("Le Département vérifie le réglage rpki_payloads et les droits du fichier."),
    ),
    ("", "no_origin"): (
        gettext_lazy("Non mesuré ici : un ROA couvre l’adresse, mais on ne sait pas quel réseau l’annonce."),
        gettext_lazy("Le Département peut le faire demander, au réglage rpki_origins."),
    ),
    ("", "no_address"): (
        gettext_lazy("Non mesuré ici : pas d’adresse publique à chercher."),
        LATER,
    ),
    ("rpki_mx", "absent"): (
        gettext_lazy(
            "Aucun ROA ne couvre cette adresse : son chemin peut être détourné sans que cela se voie."
        ),
        HOSTER,
    ),
    ("rpki_mx", "invalid"): (
        gettext_lazy("Le réseau qui annonce cette adresse n’est pas celui que dit son ROA."),
        HOSTER,
    ),
    ("rpki_mx_ns", "absent"): (
        gettext_lazy(
            "Aucun ROA ne couvre cette adresse : son chemin peut être détourné sans que cela se voie."
        ),
        HOSTER,
    ),
    ("rpki_mx_ns", "invalid"): (
        gettext_lazy("Le réseau qui annonce cette adresse n’est pas celui que dit son ROA."),
        HOSTER,
    ),
    ("rpki_ns", "absent"): (
        gettext_lazy(
            "Aucun ROA ne couvre cette adresse : son chemin peut être détourné sans que cela se voie."
        ),
        HOST,
    ),
    ("rpki_ns", "invalid"): (
        gettext_lazy("Le réseau qui annonce cette adresse n’est pas celui que dit son ROA."),
        HOST,
    ),
}
