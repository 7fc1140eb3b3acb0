"""What the sanitizer lets through, in a real browser and without the other walls: nothing runs, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.portal import safe_html

from tests.fixtures_browser import CHROMIUM

pytestmark = [pytest.mark.slow, pytest.mark.browser]
RUN = "top.ran=1"
IMG = f"<img src=x onerror={RUN}>"
OUT = "https://evil.test/x"
VECTORS = {
    # Text that becomes a tag when a browser parses it a second time, in another namespace or mode.
    "math in a table": f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;{IMG}'>",
    "math and form": f"<form><math><mtext></form><form><mglyph><style></math>{IMG}",
    "svg and style": f"<svg></p><style><a id='</style>{IMG}'>",
    "svg title": f"<svg><title><style><a title='</style></title>{IMG}'></svg>",
    "svg desc": f"<svg><desc><noscript><style></noscript>{IMG}</style></desc></svg>",
    "annotation": f"<math><annotation-xml encoding='text/html'><style><a id='</style>{IMG}'></annotation-xml>",
    "foreignObject": f"<svg><foreignObject><iframe><style></iframe>{IMG}</style></foreignObject></svg>",
    "noscript": f"<noscript><p title='</noscript>{IMG}'>",
    "noembed": f"<noembed><p title='</noembed>{IMG}'></noembed>",
    "noframes": f"<noframes><p title='</noframes>{IMG}'></noframes>",
    "xmp": f"<xmp><p title='</xmp>{IMG}'>",
    "textarea": f"<textarea><p title='</textarea>{IMG}'>",
    "template": f"<template><s><template><s>{IMG}</s></template></s></template>",
    "select": f"<select><template><style><!--</style><a rel='--></style></template></select>{IMG}'>",
    "listing": f"<listing>&lt;{IMG[1:]}</listing>",
    "plaintext": f"<plaintext></p>{IMG}",
    "comment that ends early": f"<!--><svg/onload={RUN}>-->",
    "comment with a bang": f"<!-- --!>{IMG}-->",
    "bogus comment": f"<?xml ><script>{RUN}</script> ?>",
    "cdata": f"<svg><![CDATA[><img src=x onerror={RUN}>]]></svg>",
    "processing instruction": f"<!DOCTYPE x [<!ENTITY a '{IMG}'>]>&a;",
    "backtick": f"<img alt='``onerror={RUN}' src=x>",
    "zero in a tag": f"<scr\0ipt>{RUN}</scr\0ipt><img\0src=x onerror={RUN}>",
    "nested tables": f"<table><td><table><a><a><p title='<style>'></table>{IMG}",
    "two forms": f"<a><form><a><table><form>{IMG}</table>",
    "half a tag at the end": f"<img src=x onerror={RUN} ",
    # Loads and styles.
    "style": f"<style>@import '{OUT}';body{{background:url({OUT})}}</style>x",
    "style in a title": f"<title><style>*{{background:url({OUT})}}</style></title>",
    "style attribute": f"<p style='background:url({OUT});position:fixed;inset:0'>x</p>",
    "escapes of css": f"<p style='b\\61 ckground:u\\72l({OUT})'>x</p>",
    "old attributes": f"<body background='{OUT}'><table background='{OUT}'><td background='{OUT}'>x</table>",
    "srcset": f"<img srcset='{OUT} 2x'><picture><source srcset='{OUT}'><img alt=x></picture>",
    "lists": f"<img src='{OUT}'><img src=//evil.test/x><input type=image src='{OUT}'><video poster='{OUT}'></video>",
    "image of svg": f"<svg><image href='{OUT}'/><use href='{OUT}#a'/><feImage href='{OUT}'/></svg>",
    "picture that is a page": "<img src='data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22 onload=x/>'>",
    "link": f"<link rel=stylesheet href='{OUT}'><link rel=prefetch href='{OUT}'><link rel=dns-prefetch href='{OUT}'>",
    "refresh": f"<meta http-equiv=refresh content='0;url={OUT}'>",
    "base": "<base href='https://evil.test/'><a href='x'>x</a><img src=y>",
    "frames": f"<iframe src='{OUT}'></iframe><frameset><frame src='{OUT}'></frameset><object data='{OUT}'></object>",
    "names of the page": "<img name=body><form id=document><a id=top name=cookie></a>",
    "marquee": f"<marquee onstart={RUN}>x</marquee><details open ontoggle={RUN}>x</details>",
    "animation": f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg><p style='animation:x'>",
    "focus": f"<a href=https://a.example autofocus tabindex=0 onfocus={RUN}>x</a>",
}  # fmt: skip
LINKS = {
    "https://evil.test\\@impots.gouv.fr/": "evil.test",
    "https://impots.gouv.fr@evil.test/": "evil.test",
    "https:evil.test/impots.gouv.fr": "evil.test",
    "https://evil。test/": "evil.test",
    "https://ⓔvil.test/": "evil.test",
    "https://0x7f.1/": "127.0.0.1",
    "\x01java\nscript:top.ran=1": "",
    "data:text/html,<script>top.ran=1</script>": "",
    "blob:https://evil.test/1": "",
    "vbscript:x": "",
}
ALLOWED = {"html", "head", "meta", "title", "style", "body"} | safe_html._TAGS
LOOK = """() => ({
  tags: [...document.querySelectorAll('*')].map(e => e.namespaceURI.includes('xhtml') ? e.localName : 'foreign'),
  handlers: [...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name))
    .filter(n => n.startsWith('on') || n === 'style' || n === 'id'),
  hosts: [...document.querySelectorAll('a[href]')].map(a => a.hostname),
  ran: top.ran === 1,
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def seen(browser: Any, hostile: str) -> tuple[dict[str, Any], list[str], safe_html.SafeMail]:
    """What stands on the page, and what it asked for, without sandbox and without a policy."""
    mail = safe_html.clean(hostile)
    page, asked = browser.new_page(), []
    try:
        page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
        page.set_content(mail.document, wait_until="load")
        # A second parse of what the first one made: text that was safe must stay text.
        page.evaluate("document.body.innerHTML = document.body.innerHTML")
        page.wait_for_timeout(50)
        return page.evaluate(LOOK), asked, mail
    finally:
        page.close()


@pytest.mark.parametrize("name", VECTORS)
def test_nothing_runs_and_nothing_is_asked_of_anybody(browser: Any, name: str) -> None:
    found, asked, _ = seen(browser, f"<p>avant</p>{VECTORS[name]}")
    assert not found["ran"]
    assert asked == []
    assert found["handlers"] == []
    assert set(found["tags"]) <= ALLOWED


def test_the_browser_opens_the_host_that_the_page_names(browser: Any) -> None:
    for url, host in LINKS.items():
        found, _, mail = seen(browser, f'<a href="{url}">lien</a>')
        assert found["hosts"] == [one.host for one in mail.links] == ([host] if host else []), url


def test_the_page_of_vectors_would_catch_what_gets_through(browser: Any) -> None:
    page, asked = browser.new_page(), []
    page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    page.set_content(f"<p style='background:url({OUT})'>x</p>{IMG}", wait_until="load")
    page.wait_for_timeout(50)
    found = page.evaluate(LOOK)
    page.close()
    assert found["ran"] and asked and found["handlers"]
