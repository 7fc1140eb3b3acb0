"""The page in plain French that lies in an export: what is where, what opens it, what is not in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from beffroi.portal.counts import Count

MOST_NAMED = 200
_HEAD = """\
EXPORT DE LA COLLECTIVITÉ : {name}
{line}

Commencé le {begun}, terminé le {ended} (heure de Paris).
Demande de la collectivité : {reason}

Ce dossier contient ce que le centre garde pour la collectivité. Il nomme des personnes : gardez-le
sur un disque chiffré, remettez-le en mains propres, et ne l'envoyez pas par courriel.

VÉRIFIER QUE TOUT EST LÀ
  manifest-sha256.txt donne l'empreinte SHA-256 de chaque fichier. Dans ce dossier :
      sha256sum -c --quiet manifest-sha256.txt        (Linux ; sous macOS : shasum -a 256 -c)
  Aucune ligne affichée : rien ne manque et rien n'a changé.
  L'empreinte de manifest-sha256.txt lui-même est inscrite au journal des actions du Département.

CE QU'IL Y A, ET CE QUI L'OUVRE
  courriel/               {boites} boîtes, {courriels} courriels. Un dossier par adresse, un fichier .mbox par dossier
                          de courrier, avec les dates et ce qui était lu, marqué ou répondu.
                          Thunderbird (fichier copié dans le répertoire de ses Dossiers locaux, puis relancé),
                          Apple Mail, Evolution, KMail, mutt.
                          courriel/boites.json : la liste des boîtes et de leurs dossiers.
  coffre/                 {fichiers} fichiers, dans leurs dossiers, avec leur date de modification.
                          Chaque fichier s'ouvre avec son logiciel habituel (LibreOffice, lecteur PDF...).
  coffre-listes/          fichiers.json : chaque fichier, son chemin, ses étiquettes, la liste de ses versions ;
                          partages, groupes, dépôts, alertes, sceaux : un fichier .json chacun.
  dossiers-scelles/       {dossiers_scelles} dossiers scellés : pour chacun, les preuves (sceau.txt, sceau.sig, cle.pem,
                          et sceau.tsr s'il est horodaté) et « paquet BagIt.zip » pour un service d'archives.
                          Un logiciel d'archives (Bagger, bagit) ou « ./beffroi check seal FICHIER » le vérifie.
  agendas-et-contacts/    {rendez_vous} rendez-vous (.ics) et {contacts} contacts (.vcf).
                          Thunderbird, Outlook, Google Agenda, un téléphone.
  domaines/               pour chaque nom de domaine, ses enregistrements DNS (fichier de zone, RFC 1035).
  donnees/                {lignes} lignes de la base : personnes et rôles (person, membership), boîtes de service et
                          lecteurs (mail_shared_mailbox, mail_member), alias (mail_alias), réglages, domaines, boîtiers
                          (box), exceptions et contestations (local_exception, appeal), incidents.
                          donnees/journal.json : le journal des actions de la collectivité, {journal} lignes.
                          Un fichier .json se lit dans Firefox ou tout éditeur de texte ; c'est aussi ce qu'un
                          prestataire reprend dans un autre logiciel.
  export.json             les mêmes nombres, pour un programme.

CE QUI N'Y EST PAS, ET POURQUOI
  - Ce que les personnes ont marqué personnel ou privé n'est ni lu ni copié : {personnels} courriels,
    {fichiers_personnels} fichiers, {entrees_personnelles} rendez-vous et contacts.
    Chaque personne reprend le sien elle-même, tant que son compte est ouvert : courriels et brouillons par son
    logiciel de messagerie (IMAP), fichiers par le Coffre, agendas et contacts par son téléphone.
  - Corbeilles, indésirables, brouillons, quarantaine, et courriels effacés.
  - Les versions précédentes des fichiers : elles sont listées, avec leur empreinte, sans leur contenu.
  - {fichiers_retenus} fichiers retenus comme dangereux ou pas encore analysés : fichiers.json les nomme, et dit
    pourquoi.
  - Ce qu'une autre collectivité partage avec celle-ci : cela lui appartient.
  - Mots de passe, clés et codes ; traces techniques de chaque courriel (qui écrit à qui).
"""
_COFFRE = {
    "vide": "  - Le Coffre : la collectivité n'y a jamais rien mis.\n",
    "effacé": "  - Le Coffre : il a été effacé par deux administrateurs ; l'attestation est au Département.\n",
}
_MISSING = """
CE QUI MANQUE, FAUTE D'AVOIR PU ÊTRE LU
  Cet export n'est pas complet. Demandez au Département ce qu'il en est :
"""


def text(
    *,
    name: str,
    reason: str,
    begun: datetime,
    ended: datetime,
    coffre: str,
    counts: Mapping[str, int],
    missing: Sequence[str],
) -> str:
    shown = {
        one: Count(counts.get(one, 0))
        for one in (
            "boites",
            "courriels",
            "fichiers",
            "dossiers_scelles",
            "rendez_vous",
            "contacts",
            "lignes",
            "journal",
            "personnels",
            "fichiers_personnels",
            "entrees_personnelles",
            "fichiers_retenus",
        )
    }
    form = "%d/%m/%Y à %H:%M"
    said = _HEAD.format(
        name=name,
        line="=" * (len(name) + 27),
        reason=reason,
        begun=begun.strftime(form),
        ended=ended.strftime(form),
        **shown,
    )
    said += _COFFRE.get(coffre, "")
    if missing:
        said += _MISSING + "".join(f"  - {one}\n" for one in missing[:MOST_NAMED])
        if len(missing) > MOST_NAMED:
            said += f"  - et {Count(len(missing) - MOST_NAMED)} autres : export.json les nomme tous\n"
    return said
