"""What clients are told when something is refused: a status, and a body that sync clients and people can read.

Rule:    a body names the kind of the error (``s:exception``, as sync clients know it) and says a sentence in French
         (``s:message``). It never holds a name, a path or content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from beffroi.drive.web.messages import XML, Answer, Handler, Header, Request
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive")
UNLOCK_LATER = "Quelqu’un l’a ouvert et verrouillé\u00a0; réessayez plus tard."
_KINDS: Mapping[int, str] = {
    400: "BadRequest",
    401: "NotAuthenticated",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    415: "UnsupportedMediaType",
    416: "RequestedRangeNotSatisfiable",
    422: "UnprocessableEntity",
    423: "Locked",
    429: "TooManyRequests",
    501: "NotImplemented",
    502: "BadGateway",
    503: "ServiceUnavailable",
    507: "InsufficientStorage",
}
_WORDS: Mapping[str, str] = {
    "access.not_found": "Ce fichier ou ce dossier n’existe pas, ou n’est pas à vous.",
    "drive.absent": "Ce fichier ou ce dossier n’existe pas, ou n’est pas à vous.",
    "drive.parent_absent": "Le dossier où cela doit aller n’existe pas.",
    "drive.name_taken": "Ce nom est déjà pris, peut-être avec d’autres majuscules.",
    "drive.name_refused": "Ce nom ne peut pas être utilisé\u00a0: il est vide, trop long, ou contient un signe refusé.",
    "drive.too_deep": "Les dossiers peuvent être emboîtés sur 100 niveaux au plus.",
    "drive.kind_differs": "Un dossier se trouve à la place d’un fichier, ou l’inverse.",
    "drive.into_itself": "Un dossier ne peut pas être mis dans lui-même.",
    "drive.root_fixed": "Ce dossier fait partie du Coffre\u00a0; il ne peut être ni déplacé, ni renommé, ni supprimé.",
    "drive.version_kept": "Une version se supprime sur le portail, page du fichier, pas depuis un appareil.",
    "drive.trash_kept": "La corbeille se vide sur le portail, page Coffre, pas depuis un appareil.",
    "drive.trash_whole": "Ce qui est dans un dossier supprimé revient avec lui\u00a0; remettez le dossier entier.",
    "drive.read_only": "Vous pouvez lire ici, mais rien modifier.",
    "drive.sealed": "Ce dossier est scellé\u00a0: on peut le lire et le copier, rien n’y change.",
    "drive.changed": "Cela a été modifié entre-temps.",
    "drive.exists": "Il y a déjà quelque chose de ce nom.",
    "drive.condition_failed": "Une condition de cette demande n’est plus remplie\u00a0; rien n’a été modifié.",
    "drive.locked": UNLOCK_LATER,
    "drive.too_many_locks": "Il y a trop de verrous\u00a0; retirez-en.",
    "drive.copy_too_large": "C’est trop de fichiers à copier d’un coup\u00a0; copiez un dossier après l’autre.",
    "drive.too_much_below": "C’est trop à la fois, ou une autre collectivité en partage une partie\u00a0;"
    " prenez un dossier après l’autre.",
    "drive.quota_full": "Il n’y a plus de place\u00a0: supprimez quelque chose, ou demandez-en au Département.",
    "drive.keys_erased": "Les fichiers de cette collectivité ont été effacés pour toujours.",
    "drive.too_many_entries": "La collectivité a autant de fichiers et de versions qu’elle peut en avoir\u00a0;"
    " supprimez-en pour de bon, ou parlez-en au Département.",
    "drive.store_full": "Le disque du Département est plein\u00a0; rien n’a été modifié.",
    "drive.client_gone": "L’envoi a été interrompu\u00a0; rien n’a été modifié.",
    "drive.body_differs": "Ce qui est arrivé n’est pas ce qui était annoncé\u00a0; rien n’a été modifié.",
    "drive.too_slow": "L’envoi est trop lent\u00a0; rien n’a été modifié.",
    "drive.checksum_differs": "Ce qui est arrivé n’est pas ce qui était annoncé\u00a0; rien n’a été modifié.",
    "drive.size_differs": "La longueur reçue n’est pas celle qui était annoncée\u00a0; rien n’a été modifié.",
    "drive.upload_absent": "Cet envoi est terminé, abandonné, ou sans suite depuis deux jours.",
    "drive.upload_exists": "Cet envoi est déjà commencé.",
    "drive.too_many_uploads": "Il y a trop d’envois à la fois\u00a0; finissez-en, ou abandonnez-en.",
    "drive.tag_absent": "Cette étiquette n’existe pas, ou n’est pas sur ce fichier.",
    "drive.tag_taken": "Cette étiquette existe déjà, ou est déjà sur ce fichier.",
    "drive.tag_refused": "Cette étiquette est à qui l’a créée, et au référent.",
    "drive.tag_name_refused": "Une étiquette a de 1 à 64 signes.",
    "drive.too_many_tags": "Il y a trop d’étiquettes\u00a0; retirez-en.",
    "drive.share_in_portal": "Un lien, ou un partage hors de la collectivité, se crée sur le portail, page du fichier.",
    "drive.share_too_fine": "Un partage entre collègues n’a ni note ni mot de passe, et laisse télécharger\u00a0;"
    " rien n’a été modifié.",
    "drive.shared_unread": "Un partage entre collègues se lit toujours. Pour recevoir des fichiers sans rien montrer,"
    " créez un lien de dépôt sur le portail, page du dossier ; rien n’a été modifié.",
    "drive.search_unknown": "Cette recherche n’est pas possible ici.",
    "drive.range_outside": "Cette partie se trouve en dehors du fichier.",
    "drive.too_many_sign_ins": "Trop de mots de passe faux depuis cette adresse\u00a0; réessayez plus tard.",
    "drive.address_refused": "Cette adresse est bloquée par l’immunité collective.",
    "drive.too_many_at_once": "Trop de demandes à la fois\u00a0; réessayez dans quelques secondes.",
    "drive.device_stopped": "Cet appareil est arrêté\u00a0: il modifiait des fichiers comme le fait un rançongiciel."
    " Prévenez le référent de votre commune.",
    "drive.foreign_destination": "Ce que vous déplacez ou copiez reste dans ce Coffre\u00a0: la destination se trouve"
    " sur un autre serveur.",
    "drive.method_unknown": "Ce que demande ce logiciel n’existe pas dans le Coffre\u00a0; rien n’a été modifié.",
    "drive.sign_in": "Connectez-vous avec un mot de passe d’application pour les fichiers.",
    "drive.link_closed": "Ce lien n’existe pas ou n’est plus ouvert.",
    "drive.frozen": "Ce fichier a été reconnu comme dangereux\u00a0: le Département le retient.",
    "drive.found": "Ce fichier a été reconnu comme dangereux par l’analyse\u00a0: il est retenu. Demandez une"
    " vérification dans le Coffre, sur sa page.",
    "drive.not_scanned": "Ce fichier vient de l’extérieur et n’est pas encore analysé\u00a0; réessayez bientôt.",
    "live.grant_refused": "Cette page est ouverte depuis longtemps\u00a0: ouvrez de nouveau le lien.",
    "input.too_large": "La demande est trop longue.",
    "drive.share_lost": "Une commune a perdu ce qu’elle partageait avec la vôtre\u00a0: gardez ce que vous en avez, et"
    " prévenez votre personne référente.",
    "service.unavailable": "Le service ne répond pas pour le moment\u00a0; réessayez bientôt.",
}
_OTHERWISE: Mapping[bool, str] = {
    True: "Cette demande n’est pas possible.",
    False: "Une erreur est survenue\u00a0; réessayez plus tard.",
}
RETRY_LATER_S = 30
_OF_WHO_ASKS = (501, 502)
"""What no server of files does, another server's address: a program or an editor asked for it."""


def note(method: str, error: BeffroiError) -> None:
    """For the log what is ours to mend, by its code alone."""
    if error.http_status >= 500 and error.http_status not in _OF_WHO_ASKS:
        log.warning("%s: %s", method, error.code)


async def told(handler: Handler, said: Callable[[Request, BeffroiError], Answer], request: Request) -> Answer:
    """What the handler answers, or ``said`` of what it refuses."""
    try:
        return await handler(request)
    except BeffroiError as error:
        note(request.method, error)
        await request.drain()
        return said(request, error)


def words(error: BeffroiError) -> str:
    """A sentence in French for whoever asked."""
    return _WORDS.get(error.code, _OTHERWISE[error.http_status < 500])


def refusal(error: BeffroiError, headers: tuple[Header, ...] = ()) -> Answer:
    """The answer for an error. ``error.precondition``, where it has one: XML that RFC 4918 names."""
    status = error.http_status
    kind = _KINDS.get(status, "ServiceUnavailable" if status >= 500 else "BadRequest")
    said = words(error)
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">'
        f"{getattr(error, 'precondition', '')}<s:exception>Sabre\\DAV\\Exception\\{kind}</s:exception>"
        f"<s:message>{escape(said)}</s:message></d:error>"
    )
    if status == 405:
        headers = (*headers, (b"allow", str(getattr(error, "allow", "")).encode()))
    if status == 503:
        headers = (*headers, (b"retry-after", str(RETRY_LATER_S).encode()))
    return Answer(status, (XML, *headers), body.encode())
