"""The data of the floor list: names and networks that no decision may ever block.

Purpose: what ``protected`` enforces in the centre and again in every box; code, not configuration, so that no
         feed, policy or console can shorten it. The centre adds to it (warning lists, members' names).
Source:  IANA special-purpose address registries (RFC 6890 and its updates), the root servers' published
         addresses, those that they give for .fr, .com, .net and .org, the resolvers' own documentation; the names are
         kept by hand, reviewed with each release.
"""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


_DEPARTEMENTS = [*(f"{n:02}" for n in range(1, 96) if n != 20), "2a", "2b"]
_ACADEMIES = _words(
    """
    aix-marseille amiens besancon bordeaux caen clermont corse creteil dijon grenoble guadeloupe
    guyane lille limoges lyon martinique mayotte montpellier nancy-metz nantes nice normandie
    orleans-tours paris poitiers reims rennes reunion rouen strasbourg toulouse versailles wf
    polynesie noumea spm
    """
)

PUBLIC_SERVICES = frozenset(
    _words(
        """
    gouv.fr service-public.fr collectivite.fr elysee.fr assemblee-nationale.fr senat.fr
    conseil-constitutionnel.fr
    conseil-etat.fr courdecassation.fr ccomptes.fr defenseurdesdroits.fr vie-publique.fr lecese.fr
    hatvp.fr cada.fr
    cnil.fr arcep.fr arcom.fr anssi.fr amf-france.org autoritedelaconcurrence.fr
    ameli.fr ameli-pro.fr caf.fr cnaf.fr msa.fr francetravail.fr francetravail.io pole-emploi.fr
    urssaf.fr
    net-entreprises.fr dsn-info.fr mon-entreprise.fr
    lassuranceretraite.fr info-retraite.fr retraites.fr agirc-arrco.fr cnav.fr
    carsat-bfc.fr
    cpam.fr mesdroitssociaux.fr agefiph.fr fiphfp.fr
    sante.fr has-sante.fr santepubliquefrance.fr ansm.fr dmp.fr monespacesante.fr esante.fr aphp.fr
    education.fr eduscol.education.fr cned.fr onisep.fr crous.fr etudiant.fr renater.fr
    index-education.net
    insee.fr ign.fr geoportail.fr meteofrance.fr meteofrance.com brgm.fr cerema.fr ademe.fr anah.fr
    ofb.fr inrae.fr
    demarches-simplifiees.fr boamp.fr inpi.fr infogreffe.fr cnracl.fr
    cnfpt.fr caissedesdepots.fr banquedesterritoires.fr agence-france-locale.org sfil.fr
    laposte.fr colissimo.fr chronopost.fr labanquepostale.fr docaposte.com docaposte-fast.com
    afnic.fr nic.fr europa.eu amf.asso.fr departements.fr amrf.fr adullact.org s2low.org
    ternum-bfc.fr marches-publics.info achatpublic.com maximilien.fr megalis.bretagne.bzh
    berger-levrault.com berger-levrault.fr cosoluce.fr jvs.fr jvs-mairistem.fr magnus.fr
    urgence114.fr croix-rouge.fr samu.fr sdis.fr pompiers.fr cybermalveillance.fr
    notaires.fr notariat.fr ordre-medecins.fr
    enedis.fr edf.fr grdf.fr rte-france.com sncf.com sncf-connect.com
    banque-france.fr bnpparibas bnpparibas.net bnpparibas.com societegenerale.fr societegenerale.com
    sg.fr
    credit-agricole.fr credit-agricole.com ca-cib.com creditmutuel.fr creditmutuel.com cic.fr
    caisse-epargne.fr
    banquepopulaire.fr groupebpce.com natixis.com lcl.fr credit-cooperatif.coop boursobank.com
    boursorama.com
    monetico-services.com payzen.eu systempay.fr paybox.com cartes-bancaires.com
    """
    )
) | frozenset(
    [f"ac-{a}.fr" for a in _ACADEMIES]
    + [f"sdis{d}.fr" for d in _DEPARTEMENTS]
    + [f"cdg{d}.fr" for d in _DEPARTEMENTS]
)
"""State, social, emergency and banking services: the name, all below it, and every full URL on it."""

HOSTS_OTHERS = frozenset(["laposte.fr", "renater.fr", "adullact.org", *(f"ac-{a}.fr" for a in _ACADEMIES)])
"""Of these what bears files, pages or redirections of others: one page may be blocked, a name never."""

GIANTS = frozenset(
    _words(
        """
    google.com google.fr googleapis.com gstatic.com googleusercontent.com googlevideo.com ggpht.com
    gvt1.com gvt2.com
    gmail.com googlemail.com youtube.com youtu.be ytimg.com android.com goo.gl google-analytics.com
    googletagmanager.com doubleclick.net recaptcha.net pki.goog
    microsoft.com microsoft.fr microsoftonline.com microsoftonline-p.com office.com office365.com
    office.net live.com
    live.fr live.net outlook.com outlook.fr hotmail.com hotmail.fr msn.com bing.com skype.com
    windows.com windows.net
    windowsupdate.com msftconnecttest.com msftncsi.com msauth.net msftauth.net msocdn.com azure.com
    azure.net
    trafficmanager.net onedrive.com sfx.ms aka.ms msedge.net
    apple.com apple-dns.net icloud.com icloud-content.com me.com cdn-apple.com mzstatic.com aaplimg.com
    amazonaws.com amazonaws.com.cn amazon.com amazon.fr awsstatic.com media-amazon.com
    ssl-images-amazon.com
    akamai.com akamai.net akamaiedge.net akamaized.net akamaihd.net akamaistream.net
    akamaitechnologies.com
    akadns.net akam.net edgekey.net edgesuite.net
    cloudflare.com cloudflare.net cloudflare-dns.com cloudflaressl.com fastly.net fastlylb.net
    jsdelivr.net
    unpkg.com cdnjs.com jquery.com bootstrapcdn.com
    github.com githubusercontent.com githubassets.com gitlab.com
    debian.org ubuntu.com mozilla.org mozilla.com mozilla.net firefox.com
    letsencrypt.org lencr.org digicert.com globalsign.com globalsign.net sectigo.com usertrust.com
    comodoca.com
    certigna.fr certigna.com dhimyotis.com chambersign.fr certeurope.fr certinomis.com
    facebook.com facebook.net fbcdn.net instagram.com whatsapp.com whatsapp.net messenger.com
    linkedin.com licdn.com
    twitter.com x.com t.co twimg.com adobe.com adobe.io typekit.net zoom.us webex.com wetransfer.com
    we.tl
    dropbox.com dropboxusercontent.com yahoo.com yahoo.fr aol.com proton.me protonmail.com paypal.com
    paypal.fr
    orange.fr orange.com wanadoo.fr voila.fr sfr.fr sfr.net sfr.com neuf.fr numericable.fr bbox.fr
    bouyguestelecom.fr laposte.net freebox.fr iliad.fr
    dl.free.fr transfert.free.fr
    www.free.fr imap.free.fr smtp.free.fr pop.free.fr webmail.free.fr zimbra.free.fr mx1.free.fr
    mx2.free.fr
    ovh.com ovh.fr ovh.net ovhcloud.com mail.ovh.net gandi.net ionos.fr ionos.com scaleway.com
    online.net
    infomaniak.com infomaniak.ch qwant.com wikipedia.org wikimedia.org openstreetmap.org
    avast.com eset.com bitdefender.com bitdefender.net kaspersky.com sophos.com withsecure.com
    harfanglab.io
    root-servers.net gtld-servers.net iana.org icann.org in-addr.arpa ip6.arpa ntp.org pool.ntp.org
    dns.google one.one.one.one quad9.net opendns.com dns0.eu fdn.fr joindns4.eu adguard-dns.com
    nextdns.io
    """
    )
)
"""Names that everyone depends on: the name and all below it, as names. A full URL on them may be blocked."""

_WRITERS = {
    "sign": """yousign.com yousign.app docusign.com docusign.net docusign.fr universign.com universign.eu
        signaturit.com sunnystamp.com sell-and-sign.com adobesign.com echosign.com""",
    "registered mail": "ar24.fr maileva.com clearbus.fr merci-facteur.com docaposte.fr docapost-fast.com",
    "files": """swisstransfer.com grosfichiers.com transfernow.net fromsmash.com filemail.com wetransfer.com
        we.tl dropbox.com box.com mega.nz mega.io mediafire.com pcloud.com send-anywhere.com""",
    "shared documents": """google.com sharepointonline.com notion.so notion.com canva.com padlet.com
        trello.com miro.com airtable.com figma.com slack.com github.com""",
    "forms": """forms.gle typeform.com tally.so jotform.com surveymonkey.com dragnsurvey.com
        sphinxonline.net""",
    "meetings": "microsoft.com zoom.us webex.com whereby.com livestorm.co calendly.com",
    "appointments": "doctolib.fr doctolib.com maiia.com keldoc.com",
    "news of the town": "panneaupocket.com illiwap.com intramuros.org citykomi.com lumiplan.com neocity.fr",
    "tenders": """e-marchespublics.com marches-securises.fr klekoon.com aws-france.com aws-achat.info
        omnikles.com local-trust.com atexo.com demat-ampa.fr centraledesmarches.com""",
    "families": "espace-citoyens.net pronote.net ecoledirecte.com toutemonannee.com beneylu.com",
    "payments": "helloasso.com leetchi.com weezevent.com billetweb.fr paypal.com paypal.fr",
    "people": "linkedin.com facebookmail.com",
}
_PLACES = {
    "Framasoft": """framasoft.org framaforms.org framadate.org framapad.org framalistes.org framagroupes.org
        framatalk.org framacarte.org framindmap.org framavox.org framateam.org framagit.org""",
    "pages": "genially.com genial.ly digipad.app ladigitale.dev calameo.com issuu.com prezi.com linktr.ee",
    "files": "1drv.ms zaclys.com",
    "meetings": "jit.si",
    "software": """segilog.com libriciel.fr libriciel.net ixbus.net srci.fr e-legalite.com horanet.com
        arpege.fr""",
    "short addresses": """bit.ly tinyurl.com cutt.ly rebrand.ly is.gd t.ly ow.ly buff.ly lnkd.in urlr.me
        qrco.de frama.link huit.re""",
    "put before links of all mail": """urldefense.com proofpoint.com cudasvc.com mimecast.com
        mimecastprotect.com mailinblack.com vadesecure.com emailprotection.link cisco.com""",
    "mailings": "mailchi.mp eepurl.com mandrillapp.com pstmrk.it brevo.com sibforms.com mailchimp.com",
    "linked to by who imitates them": """engie.fr totalenergies.fr veolia.fr suez.fr smacl.fr mnt.fr mgen.fr
        groupama.fr relyens.eu sofaxis.com cnas.fr cdc-habitat.fr""",
}
WRITERS = frozenset(_words(" ".join(_WRITERS.values())))
"""Services of a town hall's day that write in the name of whoever uses them: as GIANTS, and no sender there may be
blocked. Who lures by one is blocked by the page or the file."""
GIANTS |= WRITERS | frozenset(_words(" ".join(_PLACES.values())))

_S3_REGIONS = _words(
    """
    us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 eu-west-1 eu-west-2 eu-west-3 eu-central-1
    eu-central-2 eu-north-1 eu-south-1 eu-south-2 ap-south-1 ap-northeast-1 ap-northeast-2
    ap-southeast-1 ap-southeast-2 sa-east-1
    """
)

PLATFORMS = frozenset(
    _words(
        """
    blogspot.com blogspot.fr blogger.com azurewebsites.net azurestaticapps.net azureedge.net azurefd.net
    azurecontainerapps.io cloudapp.net cloudapp.azure.com blob.core.windows.net web.core.windows.net
    file.core.windows.net sharepoint.com web.app firebaseapp.com appspot.com run.app cloudfunctions.net
    translate.goog
    s3.amazonaws.com s3-website.amazonaws.com cloudfront.net awsapps.com amplifyapp.com
    elasticbeanstalk.com
    github.io gitlab.io bitbucket.io netlify.app vercel.app now.sh herokuapp.com pages.dev workers.dev
    r2.dev
    trycloudflare.com ngrok.io ngrok.app ngrok-free.app ngrok-free.dev glitch.me replit.app repl.co
    replit.dev surge.sh
    onrender.com fly.dev railway.app deno.dev lovable.app bolt.host
    weebly.com weeblysite.com wix.com wixsite.com wixstudio.com editorx.io wordpress.com square.site
    webflow.io
    godaddysites.com jimdo.com jimdofree.com jimdosite.com e-monsite.com over-blog.com
    over-blog-kiwi.com
    canalblog.com blog4ever.com strikingly.com mystrikingly.com yolasite.com 000webhostapp.com
    webnode.fr webnode.page
    webnode.com simdif.com site123.me carrd.co framer.app framer.website framer.ai notion.site
    gitbook.io tumblr.com
    typedream.app softr.app bubbleapps.io myshopify.com company.site ucraft.site my.canva.site
    durable.co
    duckdns.org no-ip.org no-ip.com no-ip.biz ddns.net hopto.org zapto.org sytes.net myftp.org
    servehttp.com
    dyndns.org dyndns.com eu.org dynv6.net freeddns.org mooo.com synology.me myqnapcloud.com
    freeboxos.fr
    pagesperso-orange.fr monsite-orange.fr free.fr perso.sfr.fr pagesperso.neuf.fr
    backblazeb2.com digitaloceanspaces.com ondigitalocean.app linodeobjects.com wasabisys.com scw.cloud
    b-cdn.net myftpupload.com plesk.page hosting.ovh.net cluster.ovh.net myfritz.net
    mjt.lu sendibt1.com sendibt2.com sendibt3.com createsend.com hubspotlinks.com mlsend.com emlnk.com
    mktoweb.com webador.fr
    frama.space limesurvey.net zendesk.com list-manage.com sendgrid.net ct.sendgrid.net awstrack.me
    activehosted.com mailersend.net click.mailersend.net sp1-brevo.net r.sp1-brevo.net
    """
    )
) | frozenset(
    [
        f"{form}{region}.amazonaws.com"
        for region in _S3_REGIONS
        for form in ("s3.", "s3-", "s3-website.", "s3-website-")
    ]
    + [f"z{n}.web.core.windows.net" for n in range(1, 61)]
    + [f"us{n}.list-manage.com" for n in range(1, 23)]
    + [f"r.{region}.awstrack.me" for region in _S3_REGIONS]
)
"""Shared platforms: the name itself is protected; a customer's name under it is not."""

SECOND_LEVELS = frozenset(
    _words(
        """
ac asso co com ed edu fi go gob gouv gov govt gv id in info int ltd me mil ne net nhs nom notaires
or org plc police prd presse sch tm web
"""
    )
)
"""A label that is a public suffix under a two-letter top-level domain (co.uk, com.fr, gob.es)."""

SUFFIXES = frozenset(
    _words(
        """
avocat.fr avoues.fr cci.fr chirurgiens-dentistes.fr experts-comptables.fr geometre-expert.fr
greta.fr huissier-justice.fr medecin.fr notaires.fr pharmacien.fr port.fr veterinaire.fr aeroport.fr
uk.com us.com eu.com de.com fr.fr
"""
    )
)
"""Public suffixes that the rule of SECOND_LEVELS does not see; the centre adds the full public suffix list."""

SPECIAL_NETWORKS = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by an operator's customers"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "reserved"),
    ("192.52.193.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "reserved"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/3", "not a global unicast address"),
    ("4000::/2", "not a global unicast address"),
    ("8000::/1", "not a global unicast address"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "reserved"),
    ("3fff::/20", "documentation"),
)
"""Addresses that no one on the internet can have, or that mean something else in each town hall."""

SHARED_SERVICES = (
    *(
        (address, "a root server")
        for address in _words(
            """
    198.41.0.4 170.247.170.2 192.33.4.12 199.7.91.13 192.203.230.10 192.5.5.241 192.112.36.4
    198.97.190.53 192.36.148.17 192.58.128.30 193.0.14.129 199.7.83.42 202.12.27.33
    2001:503:ba3e::2:30 2801:1b8:10::b 2001:500:2::c 2001:500:2d::d 2001:500:a8::e 2001:500:2f::f
    2001:500:12::d0d 2001:500:1::53 2001:7fe::53 2001:503:c27::2:30 2001:7fd::1 2001:500:9f::42
    2001:dc3::35
    """
        )
    ),
    *(
        (address, "a server of top-level names")
        for address in _words(
            """
    194.0.9.1 193.176.144.22 194.146.106.46 194.0.36.1
    2001:678:c::1 2a00:d78:0:102:193:176:144:22 2001:67c:1010:11::53 2001:678:4c::1
    192.5.6.30 192.33.14.30 192.26.92.30 192.31.80.30 192.12.94.30 192.35.51.30 192.42.93.30
    192.54.112.30 192.43.172.30 192.48.79.30 192.52.178.30 192.41.162.30 192.55.83.30
    2001:503:a83e::2:30 2001:503:231d::2:30 2001:503:83eb::30 2001:500:856e::30 2001:502:1ca1::30
    2001:503:d414::30 2001:503:eea3::30 2001:502:8cc::30 2001:503:39c1::30 2001:502:7094::30
    2001:503:d2d::30 2001:500:d937::30 2001:501:b1f9::30
    199.19.56.1 199.249.112.1 199.19.54.1 199.249.120.1 199.19.53.1 199.19.57.1
    2001:500:e::1 2001:500:40::1 2001:500:c::1 2001:500:48::1 2001:500:b::1 2001:500:f::1
    """
        )
    ),
    *(
        (address, "a public resolver")
        for address in _words(
            """
    1.1.1.1 1.0.0.1 1.1.1.2 1.0.0.2 1.1.1.3 1.0.0.3 8.8.8.8 8.8.4.4 9.9.9.9 9.9.9.10 9.9.9.11
    149.112.112.112 149.112.112.10 149.112.112.11 149.112.112.9 208.67.222.222 208.67.220.220
    208.67.222.123 208.67.220.123 80.67.169.12 80.67.169.40 193.110.81.0 185.253.5.0 86.54.11.0/24
    94.140.14.14 94.140.15.15 45.90.28.0/22 80.10.246.2 80.10.246.129 80.10.246.132 81.253.149.9
    81.253.149.10 212.27.40.240 212.27.40.241 109.0.66.10 109.0.66.20 194.158.122.10 194.158.122.15
    2606:4700:4700::/48 2001:4860:4860::/48 2620:fe::/48 2620:119:35::/48 2620:119:53::/48
    2001:910:800::12 2001:910:800::40 2a0f:fc80:: 2a0f:fc81:: 2a13:1001::86:54:11:0/112
    2a10:50c0::/48 2a07:a8c0::/32 2a07:a8c1::/32
    """
        )
    ),
)
"""Root servers, those of .fr, of .com and .net, and of .org, which a boîtier asks itself, and public resolvers: without
them a town hall has no internet."""

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing: as an indicator it would hold back every empty attachment."""
