"""Addresses of the agents' portal; /v1/enrol and /v1/mail-token answer on the boîtiers' listener only."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery
from allauth.mfa.totp import views as totp
from django.urls import URLPattern, URLResolver, path, re_path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView
from django.views.i18n import set_language

from beffroi.portal import about, health
from beffroi.portal.web import (
    access,
    activate,
    agenda,
    aliases,
    blocks,
    boxes,
    closed,
    compose,
    delegations,
    deleted,
    discovery,
    domains,
    drive,
    drive_act,
    drive_alarm,
    drive_compare,
    drive_drop,
    drive_file,
    drive_found,
    drive_links,
    drive_office,
    drive_public,
    drive_room,
    drive_scan,
    drive_seals,
    drive_shares,
    drive_stars,
    drive_trash,
    drive_visit,
    folders,
    forwards,
    held,
    held_account,
    held_link,
    home,
    imports,
    incidents,
    invitations,
    leaving,
    login_flow,
    mail,
    mail_files,
    mail_settings,
    passkeys,
    persons,
    phones,
    recovery_codes,
    relay_requests,
    relay_token,
    rescue,
    restores,
    room,
    safety,
    scripts,
    senders,
    shared,
    signin,
    unknown_addresses,
    unlock,
    weather,
    why,
)

handler400 = "beffroi.portal.health.bad_request"
handler403 = "beffroi.portal.health.forbidden"
handler404 = "beffroi.portal.health.not_found"
handler500 = "beffroi.portal.health.broken"


class Section(StringConverter):
    """The place of one part in a mail, as IMAP numbers it: ``2`` or ``2.1``."""

    regex = r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,20}"


class Calendar(StringConverter):
    """Which calendar an entry is in, as the page names it."""

    regex = "commun|prive"


register_converter(Section, "section")
register_converter(Calendar, "calendar")
urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("", home.home, name="home"),
    path("direct/", home.live_grant, name="live_grant"),
    path("langue/", set_language, name="set_language"),
    path("accessibilite/", about.accessibility, name="accessibility"),
    path("comptage/", about.counting, name="counting"),
    # Sign-in: django-allauth's views on our addresses; nobody signs up here and nothing is sent by mail.
    path("connexion/", signin.login, name="account_login"),
    path("connexion/code/", mfa.authenticate, name="mfa_authenticate"),
    path("connexion/cle/", passkeys.login, name="mfa_login_webauthn"),
    path("premiere-connexion/", activate.activate, name="activate"),
    path("connexion/inactive/", account.account_inactive, name="account_inactive"),
    path("deconnexion/", signin.logout, name="account_logout"),
    path("confirmer/", account.reauthenticate, name="account_reauthenticate"),
    path("confirmer/code/", mfa.reauthenticate, name="mfa_reauthenticate"),
    path("confirmer/cle/", passkeys.reauthenticate, name="mfa_reauthenticate_webauthn"),
    path("acces/", access.access, name="access"),
    path("acces/cles/", access.access, name="mfa_list_webauthn"),
    path("acces/cles/nouvelle/", passkeys.add, name="mfa_add_webauthn"),
    path("acces/cles/<int:pk>/nom/", passkeys.rename, name="mfa_edit_webauthn"),
    path("acces/cles/<int:pk>/retirer/", passkeys.remove, name="mfa_remove_webauthn"),
    path("acces/double-verification/", totp.activate_totp, name="mfa_activate_totp"),
    path("acces/double-verification/retirer/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("acces/codes/", recovery_codes.view, name="mfa_view_recovery_codes"),
    path("acces/codes/nouveaux/", recovery.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("acces/depannage/", rescue.rescue, name="rescue"),
    path("acces/mot-de-passe-du-portail/", access.password, name="password"),
    path("acces/mot-de-passe/", access.issue, name="app_password_issue"),
    path("acces/mot-de-passe/<str:app_password_id>/retirer/", access.revoke, name="app_password_revoke"),
    path("acces/fichiers/", login_flow.connect, name="files_connect"),
    path("acces/telephone/", phones.start, name="phone_new"),
    path("acces/telephone/<str:link_id>/", phones.link, name="phone_link"),
    # For a phone that holds a one-time link; nobody signs in there.
    path("telephone/<str:secret>/", phones.landing, name="phone_landing"),
    path("telephone/<str:secret>/profil", phones.profile, name="phone_profile"),
    # For a program that synchronises files: it asks and polls; its person answers on the page.
    path("index.php/login/v2", login_flow.begin, name="login_flow_begin"),
    path("index.php/login/v2/poll", login_flow.poll, name="login_flow_poll"),
    # Where a program opens a file in the browser, by its number.
    path("index.php/f/<int:node_id>", RedirectView.as_view(pattern_name="drive_node"), name="drive_opened"),
    path("connexion/logiciel/<str:secret>/", login_flow.answer, name="login_flow"),
    path("acces/resume/", access.access, name="mfa_index"),
    path("agenda/", agenda.agenda, name="agenda"),
    path("agenda/ajouter/", agenda.new, name="agenda_new"),
    path("agenda/<calendar:calendar>/<str:name>/", agenda.change, name="agenda_entry"),
    path("agenda/<calendar:calendar>/<str:name>/supprimer/", agenda.delete, name="agenda_delete"),
    path("blocages/", blocks.blocks, name="blocks"),
    path("blocages/pourquoi/", why.why, name="why"),
    path("blocages/pourquoi.json", why.why_json, name="why_json"),
    path("blocages/<str:decision_id>/", blocks.block, name="block"),
    path("debloquer/", unlock.unlock, name="unlock"),
    path("blocages/exception/<str:exception_id>/", blocks.end_exception, name="own_exception_end"),
    path("boitier/", boxes.boxes, name="own_boxes"),
    path("boitier/copieurs/", relay_requests.ask, name="relay_request"),
    path(
        "boitier/copieurs/<str:request_id>/retirer/", relay_requests.withdraw, name="relay_request_withdraw"
    ),
    path("collectivites/", access.choose_membership, name="membership_choose"),
    path("meteo/", weather.forecast, name="weather"),
    path("meteo/mois/", weather.sheet, name="weather_month"),
    path("departs/", leaving.departures, name="departures"),
    path("boites-fermees/", closed.mailboxes, name="closed_mailboxes"),
    path("boites-fermees/<str:mailbox_id>/", closed.mailbox, name="closed_mailbox"),
    path("boites-fermees/<str:mailbox_id>/attestation/", closed.certificate, name="closed_certificate"),
    path("boites-fermees/<str:mailbox_id>/exports/<str:export_id>/", closed.download, name="closed_export"),
    path("departs/personne/<str:person_id>/", leaving.prepare, name="departure_prepare"),
    path("departs/<str:departure_id>/", leaving.departure, name="departure"),
    path("collectivites/demandes/", persons.asked, name="membership_offers"),
    path("reprendre/", imports.own, name="own_imports"),
    path("personnes/", persons.persons, name="persons"),
    path("personnes/ajouter/", persons.add, name="person_new"),
    path("personnes/<str:person_id>/", persons.person, name="person"),
    path("dossiers/", incidents.incidents, name="incidents"),
    path("dossiers/nouveau/", incidents.new, name="incident_new"),
    path("dossiers/<str:incident_id>/", incidents.incident, name="incident"),
    path("dossiers/<str:incident_id>/plainte/", incidents.export, name="incident_export"),
    path("retenus/", held.held, name="held"),
    path("retenus/liste/", held.linked, name="held_linked"),
    path("retenus/lien/<str:act>/", held_link.held_link, name="held_link"),
    path("retenus/resume/<str:mailbox_id>/", held.digest_time, name="held_digest_time"),
    path("retenus/<str:held_id>/liberer/", held.release, name="held_release"),
    path("retenus/<str:held_id>/bloquer/", held.block_sender, name="held_block"),
    path("retenus/<str:held_id>/annuler/", held.undo, name="held_undo"),
    path("retenus/<str:held_id>/verifier/", held.ask_review, name="held_review"),
    path("retenus/pieces-jointes/", safety.attachments, name="attachments"),
    # Under names of the communes' domains; the front lets nothing else through there.
    path(".well-known/mta-sts.txt", discovery.mta_sts, name="mta_sts"),
    path("mail/config-v1.1.xml", discovery.autoconfig, name="autoconfig"),
    path(".well-known/autoconfig/mail/config-v1.1.xml", discovery.autoconfig, name="autoconfig_well_known"),
    re_path(r"^[aA]uto[dD]iscover/[aA]uto[dD]iscover\.xml$", discovery.autodiscover, name="autodiscover"),
    path("coffre/", drive.home, name="drive"),
    path("coffre/commune/", drive.common, name="drive_common"),
    path("coffre/recents/", drive_found.recent, name="drive_recent"),
    path("coffre/recherche/", drive_found.search, name="drive_search"),
    path("coffre/droit/", drive.grant, name="drive_grant"),
    path("coffre/agir/", drive_act.act, name="drive_act"),
    path("coffre/corbeille/", drive_trash.trash, name="drive_trash"),
    path("coffre/espace/", drive_room.space, name="drive_room"),
    path("coffre/alertes/", drive_alarm.drive_alarms, name="drive_alarms"),
    path("coffre/favoris/", drive_stars.stars, name="drive_stars"),
    path("coffre/<int:node_id>/", drive_file.node, name="drive_node"),
    path("coffre/<int:node_id>/comparer/<int:etag>/", drive_compare.compare, name="drive_compare"),
    path("coffre/<int:node_id>/editer/", drive_office.edit, name="drive_edit"),
    path("coffre/<int:node_id>/liens/", drive_links.of_node, name="drive_links"),
    path("coffre/<int:node_id>/partage/", drive_shares.of_node, name="drive_share"),
    path("coffre/partages/", drive_shares.mine, name="drive_my_shares"),
    path("coffre/partages/<str:share_id>/arreter/", drive_shares.end, name="drive_share_end"),
    path("coffre/partages-avec-moi/", drive_shares.with_me, name="drive_shared"),
    path("coffre/chez/<str:share_id>/", drive_visit.visit, name="drive_visit"),
    path("coffre/chez/<str:share_id>/<int:node_id>/", drive_visit.visit, name="drive_visit_node"),
    path("coffre/<int:node_id>/analyse/", drive_scan.answer, name="drive_scan"),
    path("coffre/<int:node_id>/depots/", drive_drop.of_node, name="drive_drops"),
    path("coffre/liens/", drive_links.own, name="drive_own_links"),
    path("coffre/liens/<str:share_id>/arreter/", drive_links.end, name="drive_link_end"),
    # For whoever holds a link; nobody signs in there.
    path("coffre/<int:node_id>/sceller/", drive_seals.new, name="drive_seal_new"),
    path("coffre/sceaux/", drive_seals.every, name="drive_seals"),
    path("coffre/sceaux/<str:seal_id>/", drive_seals.one, name="drive_seal"),
    path("coffre/sceaux/<str:seal_id>/preuve/<int:node_id>/", drive_seals.proof, name="drive_seal_proof"),
    path("partage/", drive_public.refused, name="drive_link_refused"),
    path("partage/depot/", drive_public.dropped, name="drive_dropped"),
    path("partage/<str:collectivite_id>/<str:token>/", drive_public.link, name="drive_link"),
    path("domaines/", domains.domains, name="own_domains"),
    path("domaines/<str:domain_id>/declaration/", domains.declare, name="own_domain_declare"),
    path("renvois/", forwards.forwards, name="forwards"),
    path("renvois/<str:forward_id>/arreter/", forwards.end, name="forward_end"),
    path("domaines/<str:domain_id>/envois/", senders.senders, name="own_senders"),
    path("courrier/", mail.mailboxes, name="mail"),
    path("courrier/signale/<str:beffroi_id>/", mail.reported, name="mail_reported"),
    path("courrier/signale/<str:beffroi_id>/declarer/", incidents.declare, name="mail_declare"),
    path("courrier/alias/", aliases.aliases, name="aliases"),
    path("courrier/alias/<str:alias_id>/", aliases.one, name="alias"),
    path("courrier/suspendue/<str:alarm_id>/", held_account.sheet, name="held_account"),
    path("courrier/adresses-inconnues/", unknown_addresses.unknown, name="unknown_addresses"),
    path("courrier/boites/", shared.shared, name="shared_mailboxes"),
    path("courrier/boites/<str:mailbox_id>/", shared.one, name="shared_mailbox"),
    path("courrier/delegations/", delegations.delegations, name="delegations"),
    path("courrier/delegations/nouvelle/", delegations.new, name="delegation_new"),
    path("courrier/delegations/<str:delegation_id>/arreter/", delegations.end, name="delegation_end"),
    path("courrier/place/", room.room, name="mail_room"),
    path("courrier/restaurations/", restores.restores, name="mail_restores"),
    path("courrier/<str:mailbox_id>/supprimes/", deleted.find, name="mail_deleted"),
    path("courrier/<str:mailbox_id>/", mail.messages, name="mail_list"),
    path("courrier/<str:mailbox_id>/reprendre/", imports.imports, name="mail_imports"),
    path("courrier/<str:mailbox_id>/reprendre/<str:job_id>/", imports.one_import, name="mail_import"),
    path("courrier/<str:mailbox_id>/reglages/", mail_settings.show, name="mail_settings"),
    path("courrier/<str:mailbox_id>/reglages/absence/", mail_settings.absence, name="mail_absence"),
    path("courrier/<str:mailbox_id>/reglages/filtres/", mail_settings.add_filter, name="mail_filter_new"),
    path(
        "courrier/<str:mailbox_id>/reglages/filtres/<str:rule_id>/",
        mail_settings.change_filter,
        name="mail_filter",
    ),
    path("courrier/<str:mailbox_id>/reglages/scripts/<str:script_id>/", scripts.change, name="mail_script"),
    path("courrier/<str:mailbox_id>/reglages/signature/", mail_settings.signature, name="mail_signature"),
    path("courrier/<str:mailbox_id>/renvoi/", forwards.forward, name="mail_forward"),
    path("courrier/<str:mailbox_id>/ecrire/", compose.write, name="mail_write"),
    path("courrier/<str:mailbox_id>/brouillon/", compose.save, name="mail_draft_save"),
    path("courrier/<str:mailbox_id>/brouillon/<int:uid>/", compose.draft, name="mail_draft"),
    path("courrier/<str:mailbox_id>/coffre/", mail_files.place, name="mail_drive"),
    path("courrier/<str:mailbox_id>/coffre/lien/", mail_files.link, name="mail_drive_link"),
    path("courrier/<str:mailbox_id>/coffre/retirer/", mail_files.remove, name="mail_drive_remove"),
    path("courrier/<str:mailbox_id>/personnes/", compose.people, name="mail_people"),
    path("courrier/<str:mailbox_id>/envoi/<str:sending_id>/", compose.sending, name="mail_sending"),
    path(
        "courrier/<str:mailbox_id>/envoi/<str:sending_id>/annuler/",
        compose.cancel,
        name="mail_sending_cancel",
    ),
    path("courrier/<str:mailbox_id>/agir/", folders.act, name="mail_act"),
    path("courrier/<str:mailbox_id>/dossiers/", folders.create, name="mail_folder_new"),
    path("courrier/<str:mailbox_id>/<int:uid>/", mail.read, name="mail_read"),
    path("courrier/<str:mailbox_id>/<int:uid>/suivi/", shared.handle, name="mail_handling"),
    path("courrier/<str:mailbox_id>/<int:uid>/contenu/", mail.content, name="mail_content"),
    path("courrier/<str:mailbox_id>/<int:uid>/rib/", safety.bank, name="mail_bank"),
    path("courrier/<str:mailbox_id>/<int:uid>/invitation/", invitations.answer, name="mail_invitation"),
    path("courrier/<str:mailbox_id>/<int:uid>/signaler/", mail.report, name="mail_report"),
    path(
        "courrier/<str:mailbox_id>/<int:uid>/piece/<section:part>/", mail.attachment, name="mail_attachment"
    ),
]
if find_spec("beffroi.boxes.api") is not None:
    urlpatterns.append(path("v1/enrol", import_module("beffroi.boxes.api").enrol, name="box_enrol"))
    urlpatterns.append(path("v1/mail-token", relay_token.mail_token, name="box_mail_token"))
