"""The place that a web address of a search engine, a translator or a filter of mail leads on to."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from beffroi.mail.gate.wrapped import MAX_CARRIED, led_on
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from hypothesis import given, settings
from hypothesis import strategies as st

EVIL = "https://pay.evil.example.com/f?a=1&b=été"
PLAIN = "https://pay.evil.example.com/f"
CODED = urlsafe_b64encode(PLAIN.encode()).decode().rstrip("=")
WRAPPED = {
    f"https://www.google.com/url?q={quote(EVIL, safe='')}&sa=D&source=editors": EVIL,
    f"https://www.google.com/url?q={PLAIN}&sa=D": PLAIN,
    "https://www.google.com/amp/s/pay.evil.example.com/f": PLAIN,
    "https://www.google.fr/url?q=amp%2Fs%2Fpay.evil.example.com/f&sa=D": PLAIN,
    "https://pay-evil-example-com.cdn.ampproject.org/c/s/pay.evil.example.com/f": PLAIN,
    f"https://www.bing.com/ck/a?!&&p=d41d&u=a1{CODED}&ntb=1": PLAIN,
    f"https://eur01.safelinks.protection.outlook.com/?url={quote(EVIL, safe='')}&data=05%7C02&reserved=0": EVIL,
    "https://urldefense.proofpoint.com/v2/url?u=https-3A__pay.evil.example.com_f&d=Dw&c=x": PLAIN,
    f"https://urldefense.com/v3/__{PLAIN}__;!!abc!def$": PLAIN,
    f"https://urldefense.com/v3/__{PLAIN}?a=1&b=2__;!!abc!def$": f"{PLAIN}?a=1&b=2",
    f"https://linkprotect.cudasvc.com/url?a={quote(PLAIN, safe='').lower()}&c=E,1,x&typo=1": PLAIN,
    f"https://ad.doubleclick.net/ddm/trackclk/N1;dc?;{PLAIN}": PLAIN,
    f"https://x.mjt.lu/lnk/AAA/1/zz/{CODED}": PLAIN,
    f"https://suivi.example/{b64encode(EVIL.encode()).decode().replace('/', '%2F')}/clic": EVIL,
    "https://pay-evil-example-com.translate.goog/f?_x_tr_sl=fr&_x_tr_tl=en": PLAIN,
    "https://a--b-example-com.translate.goog/f?x=1&_x_tr_sl=fr": "https://a-b.example.com/f?x=1",
    "https://adclick.g.doubleclick.net/pcs/click?xai=AK&adurl=//pay.evil.example.com/f": PLAIN,
    "https://sortie.example/?u=%2F%2Fpay.evil.example.com%2Ff&x=1": PLAIN,
    f"https://sortie.example/?u={quote(quote(quote(EVIL, safe=''), safe=''), safe='')}": EVIL,
    f"https://sortie.example/?u={quote(PLAIN + '?v=a%2520b', safe='')}": f"{PLAIN}?v=a%2520b",
    f"https://eur01.safelinks.protection.outlook.com/?url={quote(f'https://www.bing.com/ck/a?u=a1{CODED}')}": PLAIN,
}
UNWRAPPED = (
    PLAIN,
    "https://www.impots.gouv.fr/accueil?retour=/messagerie",
    "https://www.google.com/search?q=mairie+de+beaune",
    "https://boutique.example.com/amp/s/tarifs.html",
    "https://translate.goog/f",
    "https://www.example.com/?chemin=//commun/2026&note=a//b.example.com&taux=10%25",
)


@pytest.mark.parametrize(("wrapper", "target"), WRAPPED.items())
def test_a_wrapper_leads_on_to_the_exact_address_that_it_carries(wrapper: str, target: str) -> None:
    found = led_on(normalise(Kind.URL, wrapper).value)
    assert normalise(Kind.URL, target) in [normalise(Kind.URL, one) for one in found]


@pytest.mark.parametrize("url", UNWRAPPED)
def test_an_address_that_carries_none_leads_nowhere_else(url: str) -> None:
    assert led_on(normalise(Kind.URL, url).value) == []


def test_what_stands_behind_the_sign_of_a_place_in_the_page_is_read_as_its_scripts_do() -> None:
    page = normalise(Kind.URL, "https://stockage.example/a.html#x").value
    assert led_on(page, f"u={quote(PLAIN, safe='')}&v=1") == [PLAIN]
    assert led_on(page, PLAIN) == [PLAIN] and led_on(page, "agent@mairie.example") == led_on(page) == []


def test_no_address_leads_on_to_more_than_are_looked_at() -> None:
    many = "&".join(f"u{n}=https://a.example/{n}?v=https://b.example/{n}" for n in range(20))
    assert len(led_on(normalise(Kind.URL, f"https://c.example/?{many}").value)) == MAX_CARRIED


@given(st.text(max_size=80), st.sampled_from(["", "https:/", "aHR0cHM6L", "-3A__", "%68ttp:/", "[http:/["]))
@settings(deadline=None)
def test_no_address_breaks_the_reader(text: str, carried: str) -> None:
    for host in ("a.example", "x.translate.goog", "www.google.fr"):
        try:
            url = normalise(Kind.URL, f"https://{host}/{carried}{text}").value
        except IndicatorInvalid:
            continue
        assert len(led_on(url, text)) <= MAX_CARRIED
