"""Addresses of the Département's console: another listener, cookie and directory of accounts than the portal's."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from beffroi.portal import about, health
from beffroi.portal.console import (
    box,
    boxes,
    by_hand,
    campaigns,
    communes,
    decisions,
    incidents,
    journal,
    overview,
    releases,
    retention,
    signin,
    sources,
    weather,
    why,
    withdrawals,
)

handler400 = "beffroi.portal.health.bad_request"
handler403 = "beffroi.portal.health.forbidden"
handler404 = "beffroi.portal.health.not_found"
handler500 = "beffroi.portal.health.broken"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("", overview.overview, name="home"),
    path("direct/", overview.live_grant, name="live_grant"),
    path("langue/", set_language, name="set_language"),
    path("accessibilite/", about.accessibility, name="accessibility"),
    path("comptage/", about.counting, name="counting"),
    path("meteo/", weather.territory, name="weather"),
    path("meteo/mois/", weather.month, name="weather_month"),
    path("connexion/", signin.sign_in, name="console_login"),
    path("deconnexion/", signin.sign_out, name="console_logout"),
    path("decisions/", campaigns.campaigns, name="campaigns"),
    path("decisions/pourquoi/", why.why, name="why"),
    path("decisions/pourquoi.json", why.why_json, name="why_json"),
    path("decisions/bloquer/", by_hand.block, name="block_by_hand"),
    path("decisions/bloquer/<str:approval_id>/", by_hand.answer, name="block_answer"),
    path("decisions/attente/", decisions.waiting, name="waiting"),
    path("decisions/epargne/<str:entry_id>/", decisions.spared, name="spared"),
    path("decisions/plus-jamais/", decisions.never, name="never_again"),
    path("decisions/regle/<str:decision_id>.json", decisions.decision_json, name="decision_json"),
    path("decisions/regle/<str:decision_id>/", decisions.decision, name="decision"),
    path("decisions/regle/<str:decision_id>/annuler/", decisions.undo, name="decision_undo"),
    path("decisions/regle/<str:decision_id>/bloquer/", decisions.approve, name="decision_approve"),
    path("decisions/contestation/<str:appeal_id>/", decisions.appeal, name="appeal"),
    path("decisions/exception/<str:exception_id>/", decisions.end_exception, name="exception_end"),
    path("decisions/<str:campaign_id>/", campaigns.campaign, name="campaign"),
    path("decisions/<str:campaign_id>/confirmer/", campaigns.confirm, name="campaign_confirm"),
    path("decisions/<str:campaign_id>/ecarter/", campaigns.dismiss, name="campaign_dismiss"),
    path("decisions/<str:campaign_id>/annuler/", campaigns.undo, name="campaign_undo"),
    path("retraits/", withdrawals.withdrawals, name="withdrawals"),
    path("retraits/<str:job_id>/", withdrawals.withdrawal, name="withdrawal"),
    path("dossiers/", incidents.incidents, name="incidents"),
    path("dossiers/nouveau/", incidents.new, name="incident_new"),
    path("dossiers/<str:incident_id>/", incidents.incident, name="incident"),
    path("dossiers/<str:incident_id>/clore/", incidents.close, name="incident_close"),
    path("dossiers/<str:incident_id>/plainte/", incidents.export, name="incident_export"),
    path("dossiers/<str:incident_id>/mots-de-passe/", incidents.app_passwords, name="incident_app_passwords"),
    path("retrospective/<str:decision_id>/", incidents.look_back, name="look_back"),
    path("boitiers/", boxes.boxes, name="boxes"),
    path("boitiers/logiciel/", releases.software, name="box_software"),
    path("boitiers/code/", boxes.issue, name="box_code"),
    path("boitiers/<str:box_id>/", box.box, name="box"),
    path("boitiers/<str:box_id>/reglages/", box.policy, name="box_policy"),
    path("boitiers/<str:box_id>/reprendre/", box.restore, name="box_restore"),
    path("boitiers/<str:box_id>/observation/", box.observe, name="box_observe"),
    path("boitiers/<str:box_id>/proposition/", box.flow, name="box_flow"),
    path("boitiers/<str:box_id>/diagnostic/", box.diagnose, name="box_diagnose"),
    path("boitiers/<str:box_id>/remplacer/", boxes.replace, name="box_replace"),
    path("boitiers/<str:box_id>/confirmer/", boxes.confirm, name="box_confirm"),
    path("boitiers/<str:box_id>/revoquer/", boxes.revoke, name="box_revoke"),
    path("sources/", sources.sources, name="sources"),
    path("sources/nouvelle/", sources.add, name="source_add"),
    path("sources/export/<str:format_>/", sources.download, name="source_export"),
    path("sources/<str:source_id>/", sources.source, name="source"),
    path("sources/<str:source_id>/modifier/", sources.change, name="source_change"),
    path("sources/<str:source_id>/maj/<str:update_id>/", sources.update, name="source_update"),
    path("communes/", communes.communes, name="communes"),
    path("communes/inscrire/", communes.enrol, name="commune_enrol"),
    path("journal/", journal.journal, name="journal"),
    path("conservation/", retention.retention, name="retention"),
    path("conservation/effacement/<str:approval_id>/", retention.erase, name="erasure"),
]
