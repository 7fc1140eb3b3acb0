"""What the sanitizer lets through, in a real browser and without the other walls: nothing runs, nothing is loaded."""

# ruff: noqa: E501 - a vector stays in one piece

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
    # 2024 to 2026: what is flattened at a depth, elements that copy or revive, other encodings.
    "deep nesting": f"{'<div>' * 600}<table><caption><svg><title><table><caption></caption></table></title><style><a id='</style>{IMG}'>",
    "deep forms": f"{'<form><div></form>' * 200}<form><math><mtext><form><mglyph><style></math>{IMG}",
    "deep foreign": f"{'<svg><foreignObject>' * 300}<math><mi><style><!--</style><a title='--&gt;{IMG}'>",
    "svg in a caption": f"<table><caption><svg><desc><table><caption></caption></table></desc><style><a title='</style>{IMG}'>",
    "dd in svg": f"<svg><style><dd><a title='</style>{IMG}'></dd></style></svg>",
    "annotation and svg": f"<math><annotation-xml encoding=application/xhtml+xml><svg><style><!--</style><p id='--&gt;{IMG}'>",
    "annotation turned": f"<math><annotation-xml encoding=x><svg><title><style><a id='</style></title>{IMG}'>",
    "mglyph and malignmark": f"<math><mtext><malignmark><style><!--</style><a title='--&gt;{IMG}'></mtext></math>",
    "end of p and br": f"<svg></br><style><a id='</style>{IMG}'></svg><math></p><style><!--</style>{IMG}--></math>",
    "font leaves svg": f"<svg><font color=x><style><a id='</style>{IMG}'></font></svg><svg><font size=1>{IMG}",
    "cdata in math": f"<math><annotation-xml><![CDATA[</annotation-xml></math>{IMG}]]></annotation-xml></math>",
    "select that shows": f"<select><button><selectedcontent></selectedcontent></button><option selected>{IMG}<svg><style></option></select>",
    "select with anything": f"<select><div><math><style></select>{IMG}</style></math></div><hr><option><script>{RUN}</script></select>",
    "shadow": f"<div><template shadowrootmode=open><slot></slot>{IMG}<style>@import '{OUT}'</style></template></div>",
    "shadow in svg": f"<svg><template shadowrootmode=open><style></template>{IMG}</style></svg>",
    "srcdoc twice": f"<iframe srcdoc='&lt;template shadowrootmode=open&gt;&lt;script&gt;{RUN}&lt;/script&gt;'></iframe>",
    "popover": f"<div popover=auto id=p onbeforetoggle={RUN}>x</div><button popovertarget=p popovertargetaction=show autofocus>x</button>",
    "command": f"<dialog id=d open oncommand={RUN}><button commandfor=d command=show-modal interestfor=d>x</button></dialog>",
    "hidden until found": f"<p hidden=until-found onbeforematch={RUN}>x</p><details open name=a ontoggle={RUN}><summary>x",
    "visibility": f"<p oncontentvisibilityautostatechange={RUN} style='content-visibility:auto'>x</p>",
    "scroll and snap": f"<p onscrollsnapchange={RUN} onscrollend={RUN} onwebkitanimationstart={RUN} style='animation:a 1s'>x</p>",
    "set of svg": f"<svg><a><set attributeName=href to=javascript:{RUN} /><animate attributeName=href values=javascript:{RUN} /><text>x",
    "use of data": "<svg><use href='data:image/svg+xml;base64,PHN2ZyBpZD0ieCI+PC9zdmc+#x'/></svg>",
    "href of math": f"<math href='javascript:{RUN}'><maction actiontype=statusline#{OUT} href='javascript:{RUN}'>x</maction></math>",
    "custom element": f"<x-a is=x-a onfocus={RUN} tabindex=0 autofocus>x</x-a><input is=x onfocus={RUN} autofocus>",
    "japanese letters": f"<meta charset=ISO-2022-JP><p title='\x1b$@'>\x1b(B<a title='\x1b(J\\'{IMG}'>",
    "seven-bit letters": f"<meta http-equiv=content-type content='text/html;charset=utf-7'>+ADw-img src+AD0-x onerror+AD0-{RUN}+AD4-",
    "null and controls": f"<im\x0cg\x00 src=x\x0conerror={RUN}><svg\x0bonload={RUN}><a\x00href=javascript:{RUN}>x</a>",
    "angle in an attribute": f"<a title='<style><!--' id='--&gt;{IMG}'>x</a><p title='</style>{IMG}'>x</p>",
    "noscript in svg": f"<svg><noscript><style></noscript>{IMG}</style></noscript></svg>",
    "comment in svg": f"<svg><!--<style><a title='--&gt;{IMG}'></style>--><style>--&gt;<!--</style>{IMG}--></svg>",
    "policy of a mail": "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'; report-uri https://evil.test/r\"><meta name=referrer content=unsafe-url>",
    "hints": f"<meta http-equiv=accept-ch content=dpr><meta http-equiv=origin-trial content=x><meta http-equiv=set-cookie content=a=b><link rel=modulepreload href='{OUT}'><link rel=preload imagesrcset='{OUT} 1x' as=image>",
    "rules of speculation": "<script type=speculationrules>{\"prerender\":[{\"urls\":[\"https://evil.test/x\"]}]}</script><script type=importmap>{}</script>",
    "attribution and ping": f"<img attributionsrc='{OUT}' src='data:image/png;base64,aaaa'><a attributionsrc='{OUT}' ping='{OUT}' href='https://a.example/'>x</a>",
    "fenced": f"<fencedframe src='{OUT}'></fencedframe><portal src='{OUT}'></portal><embed src='{OUT}'><applet archive='{OUT}'>",
    "css that reads": f"<style>a[href*=secret]{{background:image-set(url({OUT}) 1x)}}p:has(a){{content:url({OUT})}}@font-face{{font-family:x;src:url({OUT})}}</style><p style='font-family:x'>x</p>",
    "css in an attribute": f"<p style='background:image-set(\"{OUT}\" 1x);cursor:url({OUT}),auto;mask:url({OUT}#a);list-style:url({OUT});--a:url({OUT})'>x</p>",
    "css that waits": f"<style>@container style(--x:1){{p{{background:url({OUT})}}}}@starting-style{{p{{border-image:url({OUT})}}}}@namespace url({OUT});</style><p>x</p>",
    "css by a table": f"<table background='{OUT}' style='border-image:url({OUT})'><col style='background:url({OUT})'><tr style='background:url({OUT})'><td>x",
    "pictures of all kinds": f"<image src='{OUT}'><img lowsrc='{OUT}' dynsrc='{OUT}' longdesc='{OUT}' usemap='{OUT}#x' src='\thttps://evil.test/x'><bgsound src='{OUT}'><track src='{OUT}'>",
    "sound and model": f"<audio src='{OUT}' autoplay></audio><video><source src='{OUT}'></video><model src='{OUT}'></model><embed type=image/svg+xml src='{OUT}'>",
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
