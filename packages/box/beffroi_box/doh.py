"""Public resolvers over HTTPS: what a policy with ``refuse_doh`` keeps the LAN from.

Purpose: names are refused by the box, so nothing may ask elsewhere. Addresses count for port 443 only. The canary name
         tells browsers not to use DoH.
Limits:  a resolver on an unknown address passes; ``Bypass`` then shows machines that never ask the box.
Source:  the operators' own documentation of their public addresses, as of 2026 (facts, no licence needed);
         support.mozilla.org/kb/canary-domain-use-application-dnsnet.
"""

from __future__ import annotations

CANARY = "use-application-dns.net"

DOH_NETWORKS: tuple[str, ...] = (
    # Google
    "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844", "2001:4860:4860::64", "2001:4860:4860::6464",
    # Cloudflare, and its filtering variants
    "1.1.1.1", "1.0.0.1", "1.1.1.2", "1.0.0.2", "1.1.1.3", "1.0.0.3",
    "2606:4700:4700::1111", "2606:4700:4700::1001", "2606:4700:4700::1112", "2606:4700:4700::1002",
    "2606:4700:4700::1113", "2606:4700:4700::1003", "2606:4700:4700::64", "2606:4700:4700::6400",
    # Quad9
    "9.9.9.9", "9.9.9.10", "9.9.9.11", "9.9.9.12", "149.112.112.112", "149.112.112.9", "149.112.112.10",
    "149.112.112.11", "149.112.112.12", "2620:fe::fe", "2620:fe::9", "2620:fe::10", "2620:fe::11", "2620:fe::12",
    # Cisco OpenDNS
    "208.67.222.222", "208.67.220.220", "208.67.222.123", "208.67.220.123", "146.112.41.2", "146.112.41.3",
    "2620:119:35::35", "2620:119:53::53",
    # AdGuard
    "94.140.14.14", "94.140.15.15", "94.140.14.15", "94.140.15.16", "94.140.14.140", "94.140.14.141",
    "2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff", "2a10:50c0::bad1:ff", "2a10:50c0::bad2:ff",
    # NextDNS (anycast)
    "45.90.28.0/24", "45.90.30.0/24", "2a07:a8c0::/48", "2a07:a8c1::/48",
    # CleanBrowsing
    "185.228.168.9", "185.228.169.9", "185.228.168.10", "185.228.169.11", "185.228.168.168", "185.228.169.168",
    # Mullvad
    "194.242.2.2", "194.242.2.3", "194.242.2.4", "194.242.2.5", "194.242.2.6", "194.242.2.9",
    "2a07:e340::2", "2a07:e340::3", "2a07:e340::4", "2a07:e340::5", "2a07:e340::6", "2a07:e340::9",
    # Control D
    "76.76.2.0/24", "76.76.10.0/24",
    # DNS.SB, DNS4EU, FDN
    "185.222.222.222", "45.11.45.11", "86.54.11.0/24", "80.67.169.12", "80.67.169.40",
    "2001:910:800::12", "2001:910:800::40",
)  # fmt: skip

DOH_NAMES: tuple[str, ...] = (
    CANARY,
    "dns.google", "dns.google.com", "dns64.dns.google",
    "cloudflare-dns.com", "one.one.one.one", "1dot1dot1dot1.cloudflare-dns.com",
    "dns.quad9.net", "dns9.quad9.net", "dns10.quad9.net", "dns11.quad9.net", "dns12.quad9.net",
    "doh.opendns.com", "doh.umbrella.com", "doh.familyshield.opendns.com",
    "dns.adguard-dns.com", "dns-unfiltered.adguard.com", "family.adguard-dns.com", "unfiltered.adguard-dns.com",
    "dns.adguard.com", "dns-family.adguard.com", "dns.nextdns.io", "doh.cleanbrowsing.org",
    "dns.mullvad.net", "doh.mullvad.net", "freedns.controld.com", "dns.controld.com", "doh.dns.sb", "doh.sb",
    "ns0.fdn.fr", "ns1.fdn.fr", "dns0.eu", "zero.dns0.eu", "kids.dns0.eu", "protective.joindns4.eu",
    "unfiltered.joindns4.eu", "dns.digitale-gesellschaft.ch", "doh.libredns.gr", "doh.applied-privacy.net",
    "doh.ffmuc.net", "dns.njal.la", "dns.switch.ch", "odvr.nic.cz", "doh.dnsforfamily.com", "doh.xfinity.com",
    "mozilla.cloudflare-dns.com", "chrome.cloudflare-dns.com", "firefox.dns.nextdns.io", "dns.twnic.tw",
    "doh.pub", "dns.alidns.com", "doh.360.cn",
)  # fmt: skip
"""Each with all below it."""
