"""The box's pages as HTML. Pure: state in, text out; every value is escaped.

Rule:    one file without anything from elsewhere; style and script are pinned by their digests; works without script.
"""

from __future__ import annotations

import base64
import hashlib
import time
from html import escape

from beffroi_box.local import Block, PolicyChange, State
from beffroi_box.pagerules import PAGE_ADDRESS
from beffroi_box.pagewords import number, words

STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--muted:#566577;--paper:#fbf9f5;--card:#fff;--line:#e4dfd5;--edge:#8a8478;
--bad:#8f3421;--bad-bg:#f9e7e2;--good:#265c41;--good-bg:#e4f1e9;--sky:#28568a;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#eef0f2;--muted:#a3afbc;--paper:#141a21;--card:#1c242d;--line:#35404c;
--edge:#75818e;--bad:#f3aa99;--bad-bg:#40241d;--good:#9bd6b6;--good-bg:#1d3529;--sky:#a3c8ee;--on:#141a21}}
*{box-sizing:border-box}html{font:17px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
body{margin:0;overflow-wrap:anywhere}header,main,footer{max-width:860px;margin:0 auto;padding:16px 24px}
header{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:center;border-bottom:1px solid var(--line)}
header b{font-size:21px}header a{margin-left:auto}h1{font-size:28px;line-height:1.2;margin:16px 0 8px}
h2{font-size:18px;margin:0 0 8px}p{margin:0 0 8px}.lead{font-size:19px}a{color:var(--sky);text-underline-offset:3px}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 24px;margin:16px 0}
.say{border-radius:10px;padding:8px 16px}.bad{background:var(--bad-bg);color:var(--bad)}
.good{background:var(--good-bg);color:var(--good)}.print{font:700 34px/1.3 ui-monospace,monospace;letter-spacing:.04em}
.note{font-size:15px;color:var(--muted)}dl{margin:0}dl div{display:grid;grid-template-columns:13em 1fr;gap:0 16px;
padding:8px 0;border-top:1px solid var(--line)}dl div:first-child{border:0}dt{color:var(--muted)}dd{margin:0}
label{display:block;font-weight:700;margin-top:16px}input{width:100%;font:20px ui-monospace,monospace;padding:10px 12px;
color:inherit;background:var(--paper);border:1px solid var(--edge);border-radius:10px}ol{padding-left:1.3em;margin:0}
button,.btn{display:inline-block;font:700 17px system-ui,sans-serif;margin:16px 0 8px;padding:11px 20px;cursor:pointer;
color:var(--on);background:var(--ink);border:0;border-radius:10px;text-decoration:none}
:focus-visible{outline:3px solid var(--sky);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:16px;top:-80px;background:var(--card);padding:8px 16px}.skip:focus{top:8px}
ul.rows{list-style:none;padding:0;margin:0}ul.rows li{padding:8px 0;border-top:1px solid var(--line)}
ul.rows li:first-child{border:0}.row{display:flex;flex-wrap:wrap;gap:4px 16px;justify-content:space-between}
@media(max-width:560px){header,main,footer{padding:12px 16px}.card{padding:12px 16px}.print{font-size:26px}
dl div{grid-template-columns:1fr}h1{font-size:24px}}
"""
# The part that changes is read again; nobody who types or stands on a link is disturbed.
SCRIPT = """
"use strict";
setInterval(async () => {
  const main = document.querySelector("main");
  if (main.contains(document.activeElement) && document.activeElement !== main) return;
  try {
    const text = await (await fetch(location.href, {cache: "no-store"})).text();
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    if (fresh && !main.contains(document.activeElement)) main.replaceChildren(...fresh.childNodes);
  } catch { /* the box restarts: the next try */ }
}, 5000);
"""


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)}; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def when(at: int) -> str:
    return time.strftime("%d/%m/%Y %H:%M", time.localtime(at)) if at else "—"


def document(language: str, title: str, body: str, *, script: bool = True) -> str:
    other = "en" if language == "fr" else "fr"
    say = f"{escape(words(language, 'product'))}"
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · {say}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>
<body><a class="skip" href="#contenu">{escape(words(language, "skip"))}</a>
<header><b>{say}</b><a href="?lang={other}" lang="{other}">{words(language, "other_language")}</a></header>
<main id="contenu" tabindex="-1">
{body}
</main>{f"<script>{SCRIPT}</script>" if script else ""}</body></html>
"""


def _facts(pairs: list[tuple[str, str]]) -> str:
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs if value
    )
    return f"<dl>{rows}</dl>"


def first_boot_page(language: str, state: State, *, error: str = "", code: str = "", centre: str = "") -> str:
    def say(key: str, *values: object) -> str:
        return escape(words(language, key, *values))

    busy = state.enrolment in ("asking", "waiting")
    error = error or ("" if busy or state.enrolment == "done" else state.enrolment)
    parts = [f"<h1>{say('first_title')}</h1>", f'<p class="lead">{say("first_lead")}</p>']
    if error:
        parts.append(f'<p class="say bad" role="alert" id="erreur"><b>{say("error")}.</b> {say(error)}</p>')
    if busy or state.enrolment == "done":
        parts.append(f'<p class="say good" role="status">{say(state.enrolment)}</p>')
    if state.settings_trouble:
        parts.append(f'<p class="say bad" role="alert">{say("settings")}</p>')
    if state.mode_trouble:
        parts.append(f'<p class="say bad" role="alert">{say("trouble." + state.mode_trouble)}</p>')
    parts.append(
        f'<section class="card"><h2>{say("fingerprint")}</h2><p class="print">{escape(state.fingerprint)}</p>'
        + _facts([(words(language, "serial"), state.serial), (words(language, "version"), state.version)])
        + "</section>"
    )
    if not busy and state.enrolment != "done":
        described = "aide-code" + (" erreur" if error else "")
        asks_centre = (
            ""
            if state.centre
            else f'<label for="centre">{say("centre")}</label><input id="centre" name="centre" type="url" '
            f'maxlength="200" required value="{escape(centre)}" aria-describedby="aide-centre">'
            f'<p class="note" id="aide-centre">{say("centre_help")}</p>'
        )
        parts.append(
            f'<section class="card"><ol><li>{say("step_code")}</li><li>{say("step_compare")}</li>'
            f'<li>{say("step_done")}</li></ol><form method="post" action="/?lang={language}">'
            f'<label for="code">{say("code")}</label><input id="code" name="code" maxlength="60" required '
            f'autocomplete="off" autocapitalize="characters" spellcheck="false" value="{escape(code)}" '
            f'aria-describedby="{described}"{" aria-invalid=true" if error else ""}>'
            f'<p class="note" id="aide-code">{say("code_help")}</p>{asks_centre}'
            f"<button>{say('enrol')}</button></form></section>"
        )
    return document(language, words(language, "first_title"), "\n".join(parts))


def weather(language: str, state: State) -> tuple[str, bool]:
    """Return the state in one sentence, and whether all is well."""
    refused = sum(block.count for block in state.blocks)
    if state.trouble == "agent":
        return words(language, "weather_agent"), False
    if state.mode_trouble:
        return words(language, "trouble." + state.mode_trouble), False
    if state.disk_trouble:
        return words(language, "weather_disk"), False
    if state.settings_trouble:
        return words(language, "weather_settings"), False
    if state.resolver_trouble:
        return words(language, "weather_resolver"), False
    if not state.connected and state.heard_at:
        return words(language, "weather_cut", when(state.heard_at)), False
    if not state.connected:
        return words(language, "weather_never"), False
    if state.stale:
        return words(language, "weather_stale"), False
    return words(language, "weather_blocks", refused) if refused else words(language, "weather_calm"), True


def state_page(language: str, state: State) -> str:
    def say(key: str, *values: object) -> str:
        return escape(words(language, key, *values))

    sentence, good = weather(language, state)
    link = words(language, "link_on" if state.connected else "link_off")
    if state.heard_at:
        link += ", " + words(language, "heard", when(state.heard_at))
    facts = [
        (words(language, "commune"), state.collectivite),
        (words(language, "link"), link),
        (words(language, "mode"), words(language, f"mode.{state.mode}")),
        (words(language, "entries"), words(language, "lists", state.entries, state.lists)),
        (words(language, "inspection"), _inspection(language, state)),
        (words(language, "relay"), _relay(language, state)),
        (words(language, "policy"), words(language, "policy_n", str(state.policy_version))),
        (words(language, "version"), state.version),
        (words(language, "serial"), state.serial),
        (words(language, "fingerprint"), state.fingerprint),
    ]
    blocks = "".join(_block_row(language, block) for block in state.blocks[:20])
    changes = "".join(_change_row(language, change) for change in state.changes[:10])
    body = f"""<h1>{escape(state.collectivite) or say("product")}</h1>
<p class="say {"good" if good else "bad"} lead" role="status">{escape(sentence)}</p>
{_own_labels(language, state)}<section class="card"><h2>{say("blocks")}</h2>
{f'<ul class="rows">{blocks}</ul>' if blocks else f"<p>{say('blocks_none')}</p>"}
<p class="note">{say("blocks_who")}</p></section>
<section class="card">{_facts(facts)}</section>
<section class="card"><h2>{say("changes")}</h2>
{f'<ul class="rows">{changes}</ul>' if changes else f"<p>{say('changes_none')}</p>"}</section>
<p class="note">{say("updated", time.strftime("%H:%M:%S"))} · <a href="/?lang={language}">{say("refresh")}</a></p>"""
    return document(language, state.collectivite or words(language, "product"), body)


def _own_labels(language: str, state: State) -> str:
    """What whoever looks was called in alarms; nothing for a machine that was in none."""
    if not state.labels:
        return ""
    named = escape(", ".join(state.labels))
    return (
        f'<section class="card"><h2>{escape(words(language, "own_label"))}</h2><p class="print">{named}</p>'
        f"<p>{escape(words(language, 'own_label_help'))}</p></section>\n"
    )


def _inspection(language: str, state: State) -> str:
    """How the engine that reads names is, and that it hung; "" where nobody says."""
    if not state.inspection:
        return ""
    said = words(language, f"inspection.{state.inspection}")
    if state.inspection in ("on", "starting") and state.inspection_hung_at:
        said += " " + words(language, "inspection_hung", when(state.inspection_hung_at))
    return said


def _relay(language: str, state: State) -> str:
    """How mail of copiers goes; "" where the policy wants no relay."""
    return words(language, f"relay.{state.relay}", state.relay_waiting) if state.relay else ""


def _block_row(language: str, block: Block) -> str:
    reason = words(language, f"reason.{block.reason}")
    if block.direction == "in":
        reason += ", " + words(language, "inbound")
    lift = ""
    if block.lift:
        named = escape(words(language, "lift_named", block.value))
        lift = f'<a href="/debloquer?quoi={escape(block.value)}" aria-label="{named}">' + (
            f"{escape(words(language, 'col_lift'))}</a>"
        )
    seen = f"{number(language, block.count)} × · {when(block.last_at)}"
    return (
        f'<li><div class="row"><b>{escape(block.value)}</b><span>{seen}</span></div>'
        f'<div class="row"><span class="note">{escape(reason)}</span>{lift}</div></li>'
    )


def _change_row(language: str, change: PolicyChange) -> str:
    outcome = words(language, "change_applied" if change.outcome == "applied" else "change_back")
    by = words(language, "change_by", change.by) if change.by else ""
    said = ", ".join(part for part in (outcome, by) if part)
    why = f"<div>{escape(change.why)}</div>" if change.why else ""
    return (
        f'<li><div class="row"><b>{escape(words(language, "policy_n", str(change.version)))}</b>'
        f'<span>{when(change.at)}</span></div><div class="note">{escape(said)}</div>{why}</li>'
    )


def blocked_page(language: str, asked: str, block: Block | None) -> str:
    """``asked``: host or address as the person wrote it; ``block`` None: nothing blocks it any more."""

    def say(key: str, *values: object) -> str:
        return escape(words(language, key, *values))

    if block is None:
        body = (
            f"<h1>{say('blocked_over')}</h1>"
            f'<p><a class="btn" href="http://{escape(asked)}/">{say("blocked_retry", asked)}</a></p>'
        )
        return document(language, words(language, "blocked_over"), body, script=False)
    facts = [
        (words(language, "col_what"), block.value),
        (words(language, "why"), words(language, f"reason.{block.reason}")),
        (words(language, "first_here"), when(block.first_at)),
        (words(language, "until"), when(block.until) if block.until else ""),
    ]
    lift = (
        f'<p><a class="btn" href="/debloquer?quoi={escape(block.value)}">{say("lift")}</a></p>'
        f'<p class="note">{say("lift_help")}</p>'
        if block.lift
        else f'<p class="note">{say("lift_never")}</p>'
    )
    body = f"""<h1>{say("blocked_title")}</h1><p class="lead">{say("blocked_lead", asked)}</p>
<section class="card">{_facts(facts)}{lift}</section>
<section class="card"><h2>{say("do_now")}</h2><p>{say("do_nothing")}</p></section>"""
    return document(language, words(language, "blocked_title"), body, script=False)


def note_page(language: str, key: str) -> str:
    link = f'<a href="http://{PAGE_ADDRESS}/">{escape(words(language, "product"))}</a>'
    body = f"<h1>{escape(words(language, key))}</h1><p>{link}</p>"
    return document(language, words(language, key), body, script=False)
