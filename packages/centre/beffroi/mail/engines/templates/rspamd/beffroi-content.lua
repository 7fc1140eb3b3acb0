--[[
What a message holds that a rule of the door looks at: kinds of attached files, the shape of the MIME.

Purpose:  facts for mailgate, whose tables judge them (mail/gate/attachments.py). No file's content leaves this process.
Hostile:  everything here was written by the sender. rspamd has parsed it; every loop has a bound.
Fails:    an error is caught by the caller, which holds the message as unparseable.
]]
local regexp = require "rspamd_regexp"
local rspamd_util = require "rspamd_util"

local M = {}
local MAX_INNER, MAX_LOOK = 500, 4 * 1024 * 1024
local MAX_EXTENSION = 20
local MAX_NAMES, MAX_PIECES, MAX_HEADER, MAX_SAID = 8, 64, 8192, 80
local MAX_UU, MAX_UU_BYTES, MAX_COMPARED = 10, 1024 * 1024, 2000000
M.caps = { header_bytes = 128 * 1024, headers = 500, parameters = 64, parts = 300, depth = 16, boundary = 70 }

-- Files -------------------------------------------------------------------------------------------------------

local OLE = "\208\207\017\224\161\177\026\225"
local function wide(text) return (text:gsub(".", "%0\0")) end
local VBA, MACROS, SEALED = wide("_VBA_PROJECT"), wide("Macros"), wide("EncryptedPackage")
-- What a browser would run or send, in a page that is attached.
local ACTIVE = { "<script", "<%w+:script", "javascript:", "vbscript:", "<form", "<iframe", "<embed", "<object", "http%-equiv%s*=%s*[\"']?%s*refresh", "%son%a+%s*=",
  "<%w+/+on%a+%s*=", "[\"']/?on%a+%s*=" }
local PAGES = { htm = true, html = true, xhtml = true, xht = true, shtml = true, svg = true, mht = true, mhtml = true, xml = true }
-- U+202A..202E and U+2066..2069 turn the order of letters, U+200B..200F hide: "facture<turn>fdp.exe" is read "factureexe.pdf".
-- A control sign ends the name in one program and is nothing in the next.
local function hides(name)
  return name:find("\226\128[\139-\143\170-\174]") ~= nil or name:find("\226\129[\166-\169]") ~= nil or name:find("%c") ~= nil
    or name:find("%z") ~= nil
end

-- Whatever follows the last letters is dropped by one program or another: "outil.exe/", "outil.exe" and a wide space.
local function extension(name)
  local found = name and name:match("%.([%w_-]+)[^%w_-]*$")
  return found and found:lower():sub(1, MAX_EXTENSION) or ""
end

M.extension = extension

-- Whose letters are not those of ASCII: what a name ends in is not seen in it.
local function is_odd(charset)
  charset = charset:lower()
  return charset:find("^utf%-?7") ~= nil or charset:find("^utf%-?16") ~= nil or charset:find("^utf%-?32") ~= nil
    or charset:find("ucs", 1, true) ~= nil
end

local function extended(text, flags)  -- RFC 2231
  local charset, rest = text:match("^([^']*)'[^']*'(.*)$")
  if charset and is_odd(charset) then flags.hidden = true end
  return ((rest or text):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function words(text, flags)  -- RFC 2047
  text = text:gsub("%?=%s+=%?", "?==?")
  return (text:gsub("=%?([^?]*)%?([bBqQ])%?([^?]*)%?=", function(charset, how, word)
    if is_odd(charset) then flags.hidden = true end
    if how:upper() == "B" then return tostring(rspamd_util.decode_base64(word) or "") end
    return tostring(rspamd_util.decode_qp((word:gsub("_", " "))) or "")
  end))
end

-- Every name that some program may read in the headers of one file: of "name", "filename" and "filename*" each takes
-- the one it likes (RFC 2231, RFC 2047, and neither). What cannot be read alike everywhere is marked as hidden.
function M.names(part, flags)
  local out, seen = {}, {}
  local function add(name)
    local plain = words(name, flags)
    local kind = extension(plain)
    if hides(plain) then flags.hidden = true end
    if seen[kind] or #out >= MAX_NAMES then return end
    seen[kind] = true
    out[#out + 1] = plain
  end
  for _, header in ipairs({ "Content-Disposition", "Content-Type" }) do
    for _, one in ipairs(part:get_header_full(header) or {}) do
      local text, pieces, said = tostring(one.value or ""):gsub("[\r\n]+[ \t]*", " "):sub(1, MAX_HEADER), {}, 0
      for mark, at in text:gmatch("[nN][aA][mM][eE](%*?%d*%*?)%s*=%s*()") do
        said = said + 1
        if said > MAX_SAID then
          flags.hidden = true
          break
        end
        local value = text:match('^"([^"]*)"?', at) or text:match("^[^;]*", at)
        if mark:sub(-1) == "*" then value = extended(value, flags) end
        local number = tonumber(mark:match("%d+"))
        if number then
          if number < MAX_PIECES then pieces[number] = value end
        else
          add(value)
        end
      end
      local joined = {}
      for i = 0, MAX_PIECES - 1 do
        if not pieces[i] then break end
        joined[#joined + 1] = pieces[i]
      end
      if #joined > 0 then add(table.concat(joined)) end
    end
  end
  return out
end

local function look_inside(part, flags)
  local inner, seen, archive = {}, {}, part and part:is_archive() and part:get_archive()
  if not archive then return inner end
  if archive:is_encrypted() then flags.encrypted = true end
  if archive.is_unreadable and archive:is_unreadable() then flags.encrypted = true end
  for i, file in ipairs(archive:get_files_full(MAX_INNER) or {}) do
    if i > MAX_INNER then break end
    local name = tostring(file.name or "")
    if file.encrypted then flags.encrypted = true end
    if hides(name) then flags.hidden = true end
    if name:lower():find("vbaproject%.bin$") then flags.macro = true end
    local kind = extension(name)
    if kind ~= "" and not seen[kind] then
      seen[kind] = true
      inner[#inner + 1] = kind
    end
  end
  return inner
end

local function is_active(content)
  local text = tostring(content:sub(1, MAX_LOOK)):gsub("%z", ""):lower()
  for _, pattern in ipairs(ACTIVE) do
    if text:find(pattern) then return true end
  end
  return false
end

-- One attached file as the table of rules sees it: extension, what its content is, names of flags, kinds of files inside.
-- `part` is nil for a file that stands in a text; `marks`: flags that its headers gave already.
function M.file(part, name, content, marks)
  local flags, kind, found = {}, extension(name), part and part:get_detected_ext() or ""
  for flag in pairs(marks or {}) do flags[flag] = true end
  if name and hides(name) then flags.hidden = true end
  local inner = look_inside(part, flags)
  local head = tostring(content:sub(1, 8))
  if head == OLE then
    local text = tostring(content:sub(1, MAX_LOOK))
    if text:find(VBA, 1, true) or text:find(MACROS, 1, true) then flags.macro = true end
    if text:find(SEALED, 1, true) then flags.encrypted = true end
  elseif head == "conectix" or head == "vhdxfile" then
    found = "vhd"
  elseif head:sub(1, 8) == "\076\0\0\0\001\020\002\0" then
    found = "lnk"
  elseif tostring(content:sub(32770, 32774)) == "CD001" then
    found = "iso"
  end
  if (PAGES[kind] or found == "html") and is_active(content) then flags.active = true end
  local names = {}
  for flag in pairs(flags) do names[#names + 1] = flag end
  -- The extension before the last one: "facture.pdf.exe".
  local before = name and name:match("%.([%w_-]+)%.[%w_-]+[^%w_-]*$")
  return { extension = kind, before = before and before:lower():sub(1, MAX_EXTENSION) or "", detected = found, flags = names, inner = inner }
end

-- Files that stand in a text, as programs sent them before MIME (uuencode); some still make attached files of them.
local LIKE_UU = regexp.create("/^begin [0-7]{3,4} [^\\r\\n]{1,200}\\r?\\n[!-`]/mr")

local function uu_line(line)
  local length, bytes = (line:byte(1) - 32) % 64, {}
  for i = 2, #line - 3, 4 do
    local a, b, c, d = line:byte(i, i + 3)
    local bits = ((a - 32) % 64) * 262144 + ((b - 32) % 64) * 4096 + ((c - 32) % 64) * 64 + (d - 32) % 64
    bytes[#bytes + 1] = string.char(math.floor(bits / 65536), math.floor(bits / 256) % 256, bits % 256)
  end
  return table.concat(bytes):sub(1, length)
end

function M.uuencoded(text)
  local out, left = {}, MAX_UU_BYTES
  if not LIKE_UU:match(text) then return out end
  text = "\n" .. tostring(text)
  for name, at in text:gmatch("\nbegin %d%d%d%d? ([^\r\n]+)\r?\n()") do
    if #out >= MAX_UU or left <= 0 then break end
    local lines, size = {}, 0
    for line in text:sub(at, at + left):gmatch("([^\r\n]+)\r?\n") do
      left = left - #line
      if line == "end" or line:find("[^ -`]") then break end
      lines[#lines + 1] = uu_line(line)
      size = size + #lines[#lines]
    end
    if size > 0 then out[#out + 1] = { name = name, content = table.concat(lines) } end
  end
  return out
end

-- Contents of pictures that stand in the HTML itself, which mail programs show as any other; each once.
local PICTURE = regexp.create("/data:\\s{0,9}image\\/[^,]{0,90}base64\\s{0,9},([a-z0-9+\\/=\\s]++)/ir")

function M.pictures(html)
  local out, known = {}, {}
  for _, found in ipairs(PICTURE:search(html, true, true) or {}) do
    local data = tostring(found[2]):gsub("%s", "")
    if not known[data] then out[#out + 1] = tostring(rspamd_util.decode_base64(data) or "") end
    known[data] = true
  end
  return out
end

-- What a reader is told to paste (ClickFix): scan/scripts.py reads it as Windows does.
local COMMAND = regexp.create("/\\b(?:powershell|pwsh|cmd(?:\\.exe)?\\s*\\/|mshta|msiexec|rundll32|regsvr32|[cw]script|bitsadmin"
  .. "|certutil|curl|wget|iwr|irm|iex|invoke-\\w+|osascript|bash\\s+-c|base64\\s+-|conhost|finger|ssh)\\b|\\w\\^\\w\\^\\w/ir")

-- Whether a text may draw a QR code itself (scan/drawn.py): by block signs or cells, as many as the smallest code has.
local BLOCKS = { "\226\150", "\226\172", "&#96", "&#x25", "block;", "hblk;" }
local CELLS, MAX_DRAWN = { "<td", "<th", "background" }, 1024 * 1024

local function has(text, words, count)
  for _, word in ipairs(words) do
    local at = text:find(word, 1, true)
    while at do
      count = count - 1
      if count == 0 then return true end
      at = text:find(word, at + #word, true)
    end
  end
  return false
end

function M.leads_by_itself(text)
  if COMMAND:match(text) then return true end
  local lower = tostring(text):sub(1, MAX_DRAWN):lower()
  return has(lower, BLOCKS, 60) or has(lower, CELLS, 441) or lower:find("<svg", 1, true) ~= nil
end

-- Shape -------------------------------------------------------------------------------------------------------

-- Lines that one program takes for a boundary and the next does not, so that a part exists for one of them alone: with
-- something behind it (Dovecot takes every line that begins with a boundary), longer than allowed (Dovecot cuts it).
local function ambiguous(task, parts)
  local known, lengths, left = {}, {}, MAX_COMPARED
  for _, part in ipairs(parts) do
    local boundary = part:is_multipart() and tostring(part:get_boundary() or "") or ""
    if #boundary > M.caps.boundary then return true end
    if boundary ~= "" and not known[boundary] then known[boundary], lengths[#boundary] = true, true end
  end
  if not next(known) then return false end
  -- Once over the text, however many boundaries somebody made up.
  local text = "\n" .. tostring(task:get_content())
  local at = text:find("\n--", 1, true)
  while at do
    for length in pairs(lengths) do
      left = left - 1
      if known[text:sub(at + 3, at + 2 + length)] then
        local rest = at + 3 + length
        if text:find("^%-%-", rest) then rest = rest + 2 end
        if rest <= #text and not text:find("^\r?\n", rest) then return true end
      end
    end
    if left < 0 then return true end
    at = text:find("\n--", at + 1, true)
  end
  return false
end

-- Of two such headers each program believes the one it likes.
local ONCE = { "Content-Type", "Content-Transfer-Encoding", "Content-Disposition" }
local function is_twice(part)
  for _, name in ipairs(ONCE) do
    if #(part:get_header_full(name) or {}) > 1 then return true end
  end
  return false
end

-- A file in a text, by an encoding of the Usenet or of old Macs: Thunderbird unpacks it, and who writes mail uses neither.
local OLD = regexp.create("/^=ybegin [^\\r\\n]{0,200}name=|^\\(This file must be converted with BinHex/mir")
local function is_encoded_otherwise(part)
  local encoding = tostring(part:get_header("Content-Transfer-Encoding") or ""):lower()
  return encoding:find("yenc", 1, true) ~= nil or encoding:find("binhex", 1, true) ~= nil
    or part:is_text() and OLD:match(part:get_content())
end

-- Whether every program shows the same sender as the one whose name was proved: one From:, in which every address that
-- anybody could find is that one. "maire@beaune.fr <eve@evil.example>" is maire@beaune.fr for Dovecot. As it was written:
-- rspamd itself takes a "+detail" away.
function M.sender_is_clear(task)
  local named = task:get_header_full("From") or {}
  -- With a space before the colon it is one for some.
  if ("\n" .. tostring(task:get_raw_headers() or "")):lower():find("\nfrom[ \t]+:") then return false end
  if #named == 0 then return true end
  if #named > 1 then return false end
  local from, text = (task:get_from({ "mime", "orig" }) or {})[1], tostring(named[1].value or ""):gsub("\r?\n[ \t]", " ")
  if text:find("[%z\1-\8\10-\31\127]") then return false end
  local bare = text:gsub('\\.', "_"):gsub('"[^"]*"', " ")
  if bare:find('"', 1, true) or select(2, bare:gsub("<", "")) > 1 then return false end
  -- A whole header inside of a quoted name is what Postfix makes of a quote that does not end.
  if text:find('"@', 1, true) then return false end
  local proved = from and tostring(from.addr or ""):lower() or ""
  for word in bare:gmatch("[^%s<>,;:()]+") do
    if word:find("@", 1, true) and word:lower() ~= proved then return false end
  end
  return true
end

-- Why no two programs would read the message alike, or any would be kept busy with it; nil when it is in order.
function M.unparseable(task)
  local caps, parts = M.caps, task:get_parts() or {}
  if #tostring(task:get_raw_headers() or "") > caps.header_bytes then return "header_bytes" end
  if #(task:get_headers(true) or {}) > caps.headers then return "headers" end
  if #(task:get_header_full("Content-Type") or {}) > 1 then return "types" end
  if not M.sender_is_clear(task) then return "senders" end
  if #parts > caps.parts then return "parts" end
  for _, part in ipairs(parts) do
    local kind = tostring(part:get_header("Content-Type") or "")
    if select(2, kind:gsub(";", "")) > caps.parameters then return "parameters" end
    if is_twice(part) then return "types" end
    if is_encoded_otherwise(part) then return "encoding" end
    local depth, above = 0, part:get_parent()
    while above and depth <= caps.depth do depth, above = depth + 1, above:get_parent() end
    if depth > caps.depth then return "depth" end
  end
  if ambiguous(task, parts) then return "boundaries" end
  return nil
end

return M
