// Rules of our own: few, for what the other looks do not see. They meet every file, and every file in an archive.
//
// A match is the finding "malware", which the Département alone releases, unless `finding` names another one
// (beffroi/scan/kinds.py). The name of the rule is told as its detail. Each rule has a sample in tests/scan_samples.py.

rule Eicar
{
    meta:
        about = "The harmless file by which any antivirus is tried (eicar.org)"
    strings:
        $sign = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    condition:
        $sign in (0..128)
}

rule RtfObject
{
    meta:
        about = "RTF that loads an object by itself, or one of the equation editor (CVE-2017-11882)"
    strings:
        $rtf = "{\\rt"
        $object = "\\objdata" nocase
        $update = "\\objupdate" nocase
        $equation = "equation.3" nocase
        $equation_hex = "4571756174696f6e2e33" nocase
    condition:
        $rtf at 0 and $object and ($update or $equation or $equation_hex)
}

rule DdeCommand
{
    meta:
        about = "A field that starts a program when a document is opened (DDE)"
    strings:
        $field = /<w:instrText[^>]{0,80}>\s{0,8}DDE(AUTO)?\b/ nocase
        $simple = /w:instr="\s{0,8}DDE(AUTO)?\s/ nocase
        $link = /<ddeLink\b[^>]{0,200}ddeService=["'](cmd|powershell|mshta|msexcel)/ nocase
    condition:
        any of them
}

rule FormulaCommand
{
    meta:
        about = "A line of a table that starts a program when a spreadsheet opens it (CSV, SYLK)"
    strings:
        $csv = /(^|[\r\n;,"])[=+\-@](cmd|powershell|mshta|msexcel|rundll32|regsvr32)\s{0,4}\|/ nocase
    condition:
        filesize < 32MB and $csv
}

rule HtmlApplication
{
    meta:
        about = "A page that Windows runs as a program"
    strings:
        $application = "<hta:application" nocase
    condition:
        filesize < 32MB and $application
}

rule PageBuildsFile
{
    meta:
        about = "A page that makes a file out of itself and hands it to the reader: it is seen by no filter on the way"
        finding = "active_page"
    strings:
        $page = /<(html|script|svg)\b/ nocase
        $decode = /\b(atob|Uint8Array|fromCharCode)\s{0,4}\(/
        $blob = "new Blob" nocase
        $hand = /(msSaveOrOpenBlob|msSaveBlob|createObjectURL)/
    condition:
        filesize < 32MB and $page and $decode and $blob and $hand
}

rule RtfCommand
{
    meta:
        about = "RTF with a field that starts a program when it is opened (DDE)"
    strings:
        $rtf = "{\\rt"
        $command = /\\fldinst\b[^"}]{0,40}\bDDE(AUTO)?\s/ nocase
    condition:
        $rtf at 0 and $command
}

rule ActiveMime
{
    meta:
        about = "Macros of Word in a page or in XML: nothing else keeps them so"
        finding = "macro"
    strings:
        $sign = "ActiveMime"
        $base64 = "QWN0aXZlTWltZ"
        $flat = /<office:scripts>[^<]{0,80}<[^>]{0,200}>\s{0,80}(<[^>]{0,400}>\s{0,80}){0,4}<script:module\b/ 
    condition:
        filesize < 32MB and ($sign at 0 or $base64 or $flat)
}

rule OdfScript
{
    meta:
        about = "An OpenDocument that starts a script of the office suite by itself (CVE-2018-16858 and after)"
        finding = "macro"
    strings:
        $event = /<script:event-listener\b[^>]{0,300}vnd\.sun\.star\.script:/
    condition:
        $event
}

rule SylkMacro
{
    meta:
        about = "A table in SYLK whose cells start programs when it opens (macros of Excel 4)"
        finding = "macro"
    strings:
        $sylk = "ID;"
        $macro = /;E(EXEC|CALL|REGISTER|RUN)\(/ nocase
    condition:
        $sylk at 0 and $macro
}

rule RarStream
{
    meta:
        about = "A RAR that writes a file outside of its folder by an alternate stream (CVE-2025-8088)"
    strings:
        $rar = "Rar!\x1a\x07\x01\x00"
        $stream = /STM[\x00-\x7f]{0,12}:(\.\.[\\\/]){2}/
    condition:
        $rar and $stream
}
