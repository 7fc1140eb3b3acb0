--[[
Where the HTML of a mail leads, as a browser reads it, and where its texts do, as mail programs do.

Purpose:  links for the facts (beffroi.lua) beside those that rspamd's own parser tells.
Hostile:  the texts. They are gone over by a few compiled expressions, none of which goes back far.
Fails:    an error is caught by the caller of the facts, which holds the message as unparseable.
]]
local regexp = require "rspamd_regexp"
local rspamd_util = require "rspamd_util"

local M = {}

-- What browsers follow: links, forms and their buttons, a page that leads on by itself, scripts of one word.
local VALUE = "\\s*=\\s*(\"[^\"]*+\"|'[^']*+'|[^\\s\"'>]++)/ir"
local FOLLOWED = regexp.create("/(?:href|action(?:-xhr)?|location|[;,]\\s*url)" .. VALUE)
local BASE = regexp.create("/<base\\s(?:[^>]{0,300}?[\\s\"'\\/])?href" .. VALUE)

-- Pictures whose address has another one in it, as that of a QR code that a service draws has.
local SHOWN = regexp.create("/\\ssrc\\s*=\\s*([\"']?https?:[^\\s\"'>]*?[?&;]\\w+=https?[:%&][^\\s\"'>]*)/ir")

-- Without its end "&copy=1" is a parameter of the address.
local function sign(entity)
  if entity == "&amp;" then return "&" end
  if not entity:find("^&#") and entity:sub(-1) ~= ";" then return entity end
  return tostring(rspamd_util.parse_html(entity) or "")
end

-- An attribute's value as a browser reads it: signs spelt as entities, blanks before it, line ends in it.
local function value_of(found)
  local value = tostring(found[2]):gsub("^[\"'](.*)[\"']$", "%1"):gsub("[\t\r\n]", "")
  value = value:gsub("&#?%w+;?", sign):gsub("[\t\r\n]", "")
  return (value:gsub("^[%z\1-\32]+", ""))
end

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- A share elsewhere ("\\host@SSL\DavWWWRoot\a", "file://host/a") as the page that Windows asks for (scan/scripts.py); nil
-- for one near by.
local NEAR_NAMES = { ["local"] = true, lan = true, intra = true, intranet = true, internal = true }
local NEAR_NUMBERS = { "^10%.", "^127%.", "^169%.254%.", "^172%.", "^192%.168%." }
local function share(text)
  text = text:gsub("^[fF][iI][lL][eE]:[\\/]+", "\\\\")
  local host, ports, path = text:match("\\\\([%w-]+%.[%w.-]+)([@%w]*)([\\/][^%s\"'<>]*)")
  if not host or NEAR_NAMES[host:match("[^.]*$"):lower()] then return nil end
  for _, near in ipairs(NEAR_NUMBERS) do
    if host:find(near) and not host:find("%a") then return nil end
  end
  local number = ports:match("@(%d+)")
  path = path:gsub("[\\/]+", "/"):gsub("^/[dD][aA][vV][wW][wW][wW][rR][oO][oO][tT]/", "/")
  return (ports:lower():find("^@ssl") and "https://" or "http://") .. host .. (number and ":" .. number or "") .. path
end

-- Wherever a text has one: programs make a link of it, ask for a picture there, or the reader is told to paste it.
local SHARES = regexp.create([[/(?:\bfile:[\\\/]{2,5}|(?<!\w:)(?<![\w\\])\\{2})[\w-]++\.[\w.@-]++[\\\/][^\s"'<>|]*/ir]])
function M.shares(text)
  local out = {}
  for _, found in ipairs(SHARES:search(text, true) or {}) do out[#out + 1] = share(tostring(found)) end
  return out
end

-- What is handed to another program, with the address that it opens ("ms-word:ofe|u|https:…", "search-ms:…"), or with its
-- host ("smb://host/a", "dav://host/a"), of which the box blocks the name.
local NO_PROGRAM = { ["android-app"] = true, mailto = true, data = true, javascript = true, cid = true, tel = true }
local function handed_on(value)
  local scheme = value:match("^(%a[%w+.-]+):")
  if not scheme or NO_PROGRAM[scheme:lower()] then return nil end
  local plain = unescaped(value)
  local host = plain:match("^%a[%w+.-]*:[\\/][\\/]([%w-]+%.[%w.-]+[^%s\"'<>]*)")
  return plain:match("[hH][tT][tT][pP][sS]?:[\\/][\\/].*") or share(plain) or host and "http://" .. host
end

-- What a picture's address asks a service to draw as a QR code ("…/create-qr-code/?data=https:…").
local function in_drawn_code(value)
  if not value:find("[qQ][rR]") then return nil end
  local text = value:match("[?&]%w+=([hH][tT][tT][pP][sS]?[:%%][^&#%s]*)")
  return text and unescaped(text)
end

-- The web address that it leads to; nil for none. Without a base only its scheme may be left out: a mail has no place.
local function address(value, base)
  -- A calendar that is subscribed to.
  value = value:gsub("^[wW][eE][bB][cC][aA][lL][sS]?:", "https:")
  if value:find("^[hH][tT][tT][pP][sS]?:") then return value end
  if value:find("^[fF][iI][lL][eE]:") then return share(value) end
  if value:find("^[\\/][\\/]") then return value:find("^\\\\[^\\/]*@") and share(value) or "https:" .. value end
  if value:find("^%a[%w+.-]*:") then return handed_on(value) end
  if not base or value == "" or value:find("^#") then return nil end
  local place, path = base:match("^(%a+:[\\/]*[^\\/?#]+)([^?#]*)")
  if not place or value:find("^[\\/]") then return place and place .. value end
  return place .. (value:find("^%?") and path or path:match("^.*[\\/]") or "/") .. value
end

-- Every web address of an HTML that a browser would follow, however it is written ("https:/", a long name before "@") and
-- wherever it stands ("<!-- --!>", "<a / href", behind a comment in a title).
-- `place`: where its part says that it lies, the base of what is relative if it names no other.
function M.written(html, place)
  local out, based = {}, BASE:search(html, true, true)
  local base = based and based[1] and address(value_of(based[1])) or place
  for _, found in ipairs(FOLLOWED:search(html, true, true) or {}) do
    out[#out + 1] = address(value_of(found), base)
  end
  for _, found in ipairs(SHOWN:search(html, true, true) or {}) do
    out[#out + 1] = in_drawn_code(value_of(found))
  end
  return out
end

-- Hosts whose pictures an HTML shows, each once, the first ones.
local PICTURE = regexp.create([[/(?:[\s"'](?:src|background|poster)\s*=\s*["']?\s*|\burl\(\s*["']?)(?:https?:)?[\\\/]{2}]]
  .. [[(?:[^\s"'<>\\\/?#@]{0,200}@)?([\w-]++(?:\.[\w-]++)++)/ir]])
local MAX_PICTURES = 50
function M.picture_hosts(html)
  local out, known = {}, {}
  for _, found in ipairs(PICTURE:search(html, false, true) or {}) do
    local host = tostring(found[2]):lower()
    if not known[host] and #out < MAX_PICTURES then out[#out + 1] = host end
    known[host] = true
  end
  return out
end

-- Where a part says that its content is elsewhere: programs show it as an attached file, and fetch it on a click. What
-- lies in a share is asked for as a page, too.
local function elsewhere(part)
  local place = part:get_header("X-Mozilla-External-Attachment-URL")
  if not place then
    local kind = tostring(part:get_header("Content-Type") or "")
    place = kind:lower():find("^%s*message/external%-body") and kind:match("[uU][rR][lL]%s*=%s*\"([^\"]+)")
  end
  return place and address((tostring(place):gsub("%s", ""):gsub("^[fF][iI][lL][eE]:[\\/]+([%w-]+%.[%w.-]+)", "https://%1")))
end

local function place_of(part)
  local place = part and (part:get_header("Content-Base") or part:get_header("Content-Location"))
  return place and address((tostring(place):gsub("[%s\"]", "")))
end

-- One spelling for an address as a link's text, its target and a plain-text part may each write it.
function M.key(url)
  local text = tostring(url:get_text() or ""):gsub("^%a+://", ""):gsub("/$", "")
  local host = tostring(url:get_host() or "")
  return text:sub(1, #host):lower() .. text:sub(#host + 1)
end

-- Addresses that lie over the end of a line for who writes format=flowed with DelSp, and for who reads it (RFC 3676, 4.2);
-- and the pieces before and behind it, which rspamd may take for addresses of somebody else.
function M.unflowed(text)
  local whole, pieces = {}, {}
  text = text:gsub("\n%-%- \r?\n", "\n\n"):gsub(" \r?\n>* ?", "\1")
  for word in text:gmatch("[^%s<>\"'()]+") do
    if word:find("\1", 1, true) then
      whole[#whole + 1] = word:gsub("\1", ""):match("[hH][tT][tT][pP][sS]?://.*[^.,;:!?]")
      for piece in word:gmatch("[^\1]+") do
        local bare = piece:gsub("^%a+://", ""):gsub("/$", ""):lower()
        pieces[bare], pieces[bare:gsub("[.,;:!?]+$", "")] = true, true
      end
    end
  end
  return whole, pieces
end

local function is_unflowed(part)
  local kind = tostring(part:get_header("Content-Type") or ""):lower()
  return kind:find("format=\"?flowed") ~= nil and kind:find("delsp=\"?yes") ~= nil
end

-- Where the HTML really leads, addresses and hosts: what is a target is one, whatever else shows it. And what is written
-- for a program to follow, where rspamd does not read it or does not see it (written), or is fetched as a file; and keys
-- of what is only a piece of such an address (cut); and hosts of pictures.
function M.targets(task)
  local found, hosts, written, cut, pictures = {}, {}, {}, {}, {}
  local function add(places)
    for _, one in ipairs(places) do written[one] = true end
  end
  for _, part in ipairs(task:get_parts() or {}) do
    add({ elsewhere(part) })
    local text = part:is_text() and part:get_text()
    if text and not text:is_html() and is_unflowed(part) then
      local whole, pieces = M.unflowed(tostring(text:get_content("raw_utf") or ""))
      add(whole)
      for piece in pairs(pieces) do cut[piece] = true end
    end
  end
  for _, part in ipairs(task:get_text_parts() or {}) do
    local html, raw = part:is_html() and part:get_html(), part:get_content("raw_utf") or ""
    add(M.shares(raw))
    if html then
      html:foreach_tag({ "a", "area" }, function(tag)
        local target = tag:get_extra()
        if type(target) == "userdata" and target.get_host then
          found[M.key(target)] = true
          hosts[tostring(target:get_host() or ""):lower()] = true
        end
        return false
      end)
      add(M.written(tostring(raw), place_of(part:get_mimepart())))
      for _, host in ipairs(M.picture_hosts(raw)) do pictures[#pictures + 1] = host end
    end
  end
  return found, hosts, written, cut, pictures
end

return M
