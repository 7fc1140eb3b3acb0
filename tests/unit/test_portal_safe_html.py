"""Hostile HTML, as a table of cases: what must not come out, and what must."""

from __future__ import annotations

import html
from html import escape

import pytest
from beffroi.portal import safe_html, tame_html
from hypothesis import given, settings
from hypothesis import strategies as st

FORBIDDEN = (
    "<script",
    "javascript:",
    "vbscript:",
    "<iframe",
    "<object",
    "<embed",
    "<form",
    "<input",
    "<base",
    "<meta http",
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg onload=alert(1)>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt&#58;alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='javascript:alert(1)'></object><embed src='javascript:alert(1)'>",
    "<form action='https://evil.test'><input name=password></form>",
    "<base href='https://evil.test/'><a href='/x'>x</a>",
    "<meta http-equiv=refresh content='0;url=https://evil.test'>",
    "<link rel=stylesheet href='https://evil.test/x.css'>",
    "<style>@import 'https://evil.test/x.css';</style>",
    "<p style=\"background:url('https://evil.test/x')\">x</p>",
    "<table background='https://evil.test/x'><tr><td background='https://evil.test/y'>x</table>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--[if mso]><script>alert(1)</script><![endif]-->",
    "<img src='https://evil.test/pixel.gif'><img src='//evil.test/p'><img src='cid:1'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
    "<video src='https://evil.test/v' autoplay onplay=alert(1)></video>",
    "<template><script>alert(1)</script></template>",
    "<plaintext><script>alert(1)",
    "<<script>alert(1)//<</script>",
    "<a href='https://a.example' target=_self onmouseover=alert(1) ping='https://evil.test'>x</a>",
    "<button formaction='javascript:alert(1)'>x</button>",
    "<select><style></select><script>alert(1)</script></style></select>",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_html_comes_out_harmless(hostile: str) -> None:
    safe = safe_html.clean(hostile).document
    body = safe.partition("<body>")[2].lower()
    assert not [word for word in FORBIDDEN if word in body]
    assert "evil.test" not in body.replace("alert", "")
    for attribute in (" onerror=", " onload=", " onmouseover=", " onplay=", " style=", " ping=", " srcdoc="):
        assert attribute not in body


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.sampled_from("<>/=\"' abimgscrpthref:javdt&#;x!-\n"), max_size=200))
def test_no_text_makes_a_tag_that_is_not_allowed(text: str) -> None:
    body = safe_html.clean(text).document.partition("<body>")[2]
    assert "<script" not in body.lower()
    assert '<img src="h' not in body.lower()


@pytest.mark.parametrize(
    ("text", "url", "deceptive"),
    [
        ("https://www.laposte.fr/suivi", "https://colis.example/laposte", True),
        ("laposte.fr", "https://laposte.fr.evil.example/", True),
        ("www.laposte.fr", "https://laposte.fr/suivi", False),
        ("laposte.fr", "https://www.aide.laposte.fr/", False),
        ("Suivre mon colis", "https://colis.example/", False),
        ("impots.gouv.fr", "https://impots.gouv.fr@evil.example/", True),
        ("https://moi@impots.gouv.fr/", "https://evil.example/", True),
        ("im&#8203;pots.g&shy;ouv.fr", "https://evil.example/", True),
        ("\u202aimpots\u2060.gouv.fr", "https://evil.example/", True),
        ("im\u115fpots.gouv.fr", "https://evil.example/", True),
        ("<b>impots</b><i>.gouv.fr</i>", "https://evil.example/", True),
        ('<img src="https://pixel.example/1" alt="www.impots.gouv.fr">', "https://evil.example/", True),
        ("mairie@beaune.fr", "https://webmail.example/", False),
    ],
)
def test_a_link_that_shows_one_host_and_leads_to_another_is_called_deceptive(
    text: str, url: str, deceptive: bool
) -> None:
    links = safe_html.clean(f'<a href="{url}">{text}</a>').links
    assert [link.deceptive for link in links] == [deceptive]


def test_a_deceptive_link_says_both_hosts_and_carries_its_target_in_its_own_name() -> None:
    safe = safe_html.clean('<p><a href="https://evil.example/">https://www.impots.gouv.fr/</a></p>')
    (link,) = safe.links
    assert (link.shown_host, link.host) == ("impots.gouv.fr", "evil.example")
    name = safe.document.partition("<a ")[2].partition("</a>")[0]
    assert "[mène en réalité à evil.example]" in name


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://www.google.com/url?q=https%3A%2F%2Fevil.example%2Ff&amp;sa=D", "evil.example"),
        ("https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2F", "evil.example"),
        (
            "https://www.google.com/url?q=https://www.bing.com/ck?u=https%3A%2F%2Fevil.example%2F",
            "www.bing.com, evil.example",
        ),
        # Whoever writes a link may carry an honest address along: all are told, and the link's own host first.
        (
            "https://evil.example/?u=https://www.impots.gouv.fr/&amp;v=https://b.example/",
            "www.impots.gouv.fr, b.example",
        ),
        ("https://a.example/?from=https://a.example/x", ""),
    ],
)
def test_of_a_link_that_carries_another_address_the_page_says_where_it_goes_on_to(
    url: str, hosts: str
) -> None:
    safe = safe_html.clean(f'<a href="{url}">Voir</a>')
    (link,) = safe.links
    assert ", ".join(link.onward) == hosts
    assert f"[mène à {link.host}{f', qui renvoie vers {hosts}' if hosts else ''}]" in safe.document
    assert safe_html.links_in_text(html.unescape(url))[0].onward == link.onward


def test_every_link_says_where_it_leads_and_cannot_reach_back() -> None:
    safe = safe_html.clean('<a href="https://a.example/x?y=1&amp;z=2">ici</a>')
    assert "[mène à a.example]" in safe.document
    assert 'rel="noopener noreferrer nofollow"' in safe.document
    assert 'target="_blank"' in safe.document


def test_remote_images_are_counted_and_inline_ones_kept() -> None:
    png = "data:image/png;base64,iVBORw0KGgo="
    safe = safe_html.clean(f'<img src="{png}"><img src="https://pixel.example/1"><img src="cid:a">')
    assert safe.blocked_images == 1  # a cid: picture is part of the mail, not fetched
    assert "pixel.example" not in safe.document
    assert png in safe.document


def test_a_picture_of_the_mail_itself_stands_where_its_html_has_it() -> None:
    png = "data:image/png;base64,iVBORw0KGgo="
    hostile = (
        '<img src="CID:image%20001.png@01D9" alt="Plan"><img src="cid:b" alt="Photo"><a href="cid:b">c</a>'
    )
    assert safe_html.pictures_in(hostile) == {"image 001.png@01D9", "b"}
    safe = safe_html.clean(hostile, {"image 001.png@01D9": png})
    assert safe.document.count(png) == 1
    assert "Photo]" in safe.document and "Plan]" not in safe.document
    assert "cid:" not in safe.document.lower() and not safe.blocked_images


def test_ordinary_structure_survives() -> None:
    kept = "<table><tbody><tr><td>Élu&nbsp;: 3&lt;4</td></tr></tbody></table><ul><li>un</li></ul>"
    assert kept.replace("&nbsp;", "\u00a0") in safe_html.clean(kept).document.replace("&nbsp;", "\u00a0")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        # Each as Chromium opens it.
        ("https://evil.example\\@impots.gouv.fr/", "evil.example"),
        ("https://evil.example\\.impots.gouv.fr/", "evil.example"),
        ("https:/evil.example/x", "evil.example"),
        ("https:evil.example", "evil.example"),
        ("http:\\\\evil.example/x", "evil.example"),
        ("https:///evil.example", "evil.example"),
        ("//evil.example/x", "evil.example"),
        ("/\\evil.example/x", "evil.example"),
        ("ht\ntps://evil\t.example", "evil.example"),
        (" https://evil.example", "evil.example"),
        ("https://impots.gouv.fr@evil.example/", "evil.example"),
        ("https://impots.gouv.fr%2eevil.example/", "impots.gouv.fr.evil.example"),
        ("https://ev%69l.example", "evil.example"),
        ("https://evil\uff0eexample/", "evil.example"),
        ("https://\u0456mpots.gouv.fr/", "xn--mpots-m2e.gouv.fr"),
        ("https://3627734734/", "216.58.214.206"),
        ("https://0xd8.072.0xd6ce/", "216.58.214.206"),
        ("https://impots.gouv.fr:443@evil.example:8443/#@impots.gouv.fr/", "evil.example"),
    ],
)
def test_what_the_page_says_of_a_link_is_where_a_browser_goes(url: str, host: str) -> None:
    safe = safe_html.clean(f'<a href="{escape(url)}">www.impots.gouv.fr</a>')
    (link,) = safe.links
    assert (link.host, link.shown_host) == (host, "impots.gouv.fr")
    # What is opened is written so that nobody reads it in another way.
    assert safe_html.host_of(link.url) == host and "\\" not in link.url
    assert link.url.startswith((f"https://{host}", f"http://{host}"))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "/deconnexion/",
            "?page=2",
            "#haut",
            "https://",
            "https://a..b/",
            "https://[x]/",
            "file:///etc/passwd",
        ),
        *("data:text/html,x", " data:text/html,x", "da\tta:text/html,x", "https://evil.example:99999/"),
    ],
)
def test_a_link_of_no_host_of_its_own_is_no_link(url: str) -> None:
    safe = safe_html.clean(f'<a href="{escape(url)}">ici</a>')
    assert safe.links == () and "href" not in safe.document


def test_a_name_with_accents_that_leads_to_itself_is_not_called_deceptive() -> None:
    (link,) = safe_html.clean('<a href="https://mairie-ch\u00e2teau.fr/">mairie-ch\u00e2teau.fr</a>').links
    assert (link.host, link.deceptive) == ("xn--mairie-chteau-qeb.fr", False)


@pytest.mark.parametrize(
    "bomb",
    [
        "<p>" + "".join(f"<b a={n}>" for n in range(4000)) + "x</p>" + "<p>x</p>" * 4000,
        "".join(f"<a href=https://x.example/{n}>" for n in range(4000)) + "<p>x</p>" * 4000,
        "<div>" * 60_000 + "fin",
        "<table><tr><td><span>" * 20_000 + "</div>" * 60_000,
        "<a href=https://evil.example/>" + "a" * 300_000 + "</a>",
        "<a href=https://evil.example/>" + "a." * 150_000 + "</a>",
    ],
)
def test_what_is_made_to_grow_takes_no_more_than_its_length(bomb: str) -> None:
    """Each of them took minutes, or gigabytes."""
    assert len(safe_html.clean(bomb).document) < 4 * len(bomb) + 5000
    assert len(safe_html.words_in(bomb)) <= len(bomb)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<p>un<p><b>deux</p>trois", "<p>un</p><p><b>deux</b></p>trois"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("<table><tr><td>a</div><td>b<tr></table>d", "<table><tr><td>a</td><td>b</td></tr><tr></tr></table>d"),
        ("<form><div>a</form>b</div>c", "<div>ab</div>c"),
        ("<img src=1 src=2 onerror=x>&lt;<br>", '<img src="1">&lt;<br>'),
        ("a</br>b<br/>c<div/>d", "a<br>b<br>c<div>d</div>"),
        ("<p>a<!-- <p>b --><style>p{}</style>c", "<p>a<style>p{}</style>c</p>"),
    ],
)  # fmt: skip
def test_tags_are_closed_where_browsers_close_them(written: str, read: str) -> None:
    assert tame_html.bounded(written, safe_html._TAGS | {"style"}, safe_html._ATTRIBUTES) == read


def test_what_stands_too_deep_keeps_its_words() -> None:
    deep = tame_html.bounded("<div>" * 1000 + "mot" + "</div>" * 1000 + "<p>fin", {"div", "p"}, {})
    assert deep.count("<div>") == tame_html.MAX_DEPTH == deep.count("</div>")
    assert "mot" in deep and deep.endswith("<p>fin</p>")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("voir .impots.gouv.fr/a", "impots.gouv.fr"),
        ("https://maire@impots.gouv.fr:443/", "impots.gouv.fr"),
        ("impots.gouv.fr.9", "impots.gouv.fr"),
        ("a_b..c 3.14", ""),
        ("impots\u2024gouv\uff0efr", "impots.gouv.fr"),
        ("impots\u3002gouv\uff61fr", "impots.gouv.fr"),
        ("www.evil.example", ""),
    ],
)
def test_the_host_that_a_text_names_is_found(text: str, shown: str) -> None:
    assert safe_html.imitated_host(text, "evil.example") == shown


def test_many_links_in_front_hide_no_deceptive_one() -> None:
    many = "<a href=https://a.example/>a</a>" * (safe_html.MAX_LINKS + 1)
    found = safe_html.clean(f"{many}<a href=https://evil.example/>impots.gouv.fr</a>").links
    assert [one.shown_host for one in found if one.deceptive] == ["impots.gouv.fr"]
    assert len(found) == safe_html.MAX_LINKS + 1
