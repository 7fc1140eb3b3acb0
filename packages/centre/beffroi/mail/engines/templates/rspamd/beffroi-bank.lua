--[[
What a message and its documents say about bank details: IBANs, and whether new ones are announced.

Purpose:  facts for mailgate (mail/gate/bank.py). No IBAN leaves this process: it goes out as a keyed hash, text as one
          word "announces".
Hostile:  everything here was written by the sender; every loop has a bound.
Fails:    an error is caught by the caller, which holds the message as unparseable.
]]
local cryptobox_hash = require "rspamd_cryptobox_hash"
local regexp = require "rspamd_regexp"

local M = {}
local MAX_TEXT, MAX_IBANS = 256 * 1024, 20

local LENGTHS = { AD = 24, AT = 20, BE = 16, BG = 22, CH = 21, CY = 28, CZ = 24, DE = 22, DK = 18, EE = 20, ES = 24, FI = 18,
  FR = 27, GB = 22, GI = 23, GR = 27, HR = 21, HU = 28, IE = 22, IS = 26, IT = 27, LI = 21, LT = 20, LU = 20, LV = 21,
  MC = 27, MT = 31, NL = 18, NO = 15, PL = 28, PT = 25, RO = 24, SE = 24, SI = 19, SK = 24, SM = 27 }

-- ISO 13616: the first four signs go to the end, letters become numbers, the rest by 97 is 1.
local function is_iban(text)
  local rest = 0
  for sign in (text:sub(5) .. text:sub(1, 4)):gmatch(".") do
    local value = tonumber(sign, 36)
    rest = (rest * (value > 9 and 100 or 10) + value) % 97
  end
  return rest == 1
end

local function plain(text)
  if text:find("\194\160", 1, true) then text = text:gsub("\194\160", " ") end
  if text:find("\226\128", 1, true) then
    text = text:gsub("\226\128[\128-\138\175]", " "):gsub("\226\128[\139-\143]", "")
  end
  return text
end

-- Lua's own patterns go over a text of 10 kB in 0.2 ms each. Most mails have nothing for them, and an expression that
-- is compiled (PCRE) says so in a tenth of that.
local LIKE_IBAN = regexp.create("/(?<![a-z0-9])[a-z]{2}[0-9]{2}(?:[\\s.-]*[a-z0-9]){11}/ir")

function M.ibans(text)
  local out, seen = {}, {}
  text = plain(text)
  if not LIKE_IBAN:match(text) then return out end
  text = text:upper()
  for start, country in text:gmatch("%f[%w]()(%u%u)%d%d") do
    local wanted, letters, at = LENGTHS[country], {}, start
    while wanted and #letters < wanted do
      local sign = text:sub(at, at)
      if sign:find("^%w$") then
        letters[#letters + 1] = sign
      elseif not sign:find("^[%s%.%-]$") or not text:sub(at + 1, at + 1):find("^[%w\r\n]$") then
        break
      end
      at = at + 1
    end
    local found = table.concat(letters)
    if wanted == #found and not text:sub(at, at):find("^%w$") and is_iban(found) and not seen[found] then
      seen[found] = true
      out[#out + 1] = found
      if #out >= MAX_IBANS then break end
    end
  end
  return out
end

-- Letters of Latin-1 without their accents, as one finds them in UTF-8 after the byte 195, from 128 on.
local BASE = "aaaaaaaceeeeiiiidnooooo ouuuuyts" .. "aaaaaaaceeeeiiiidnooooo ouuuuyty"
local function folded(text)
  text = text:gsub("\226\128\153", "'")
  text = text:gsub("\195([\128-\191])", function(c) local i = c:byte() - 127; return BASE:sub(i, i) end)
  return (text:lower():gsub("%s+", " "))
end

local ANNOUNCING = {
  "nouveau rib", "nouveau releve d'identite bancaire", "nouvel iban", "nouveau compte bancaire",
  "nouvelles? coordonnees bancaires", "nouvelles? references bancaires", "nouvelle domiciliation",
  "changement de rib", "changement d'iban", "changement de coordonnees bancaires", "changement de nos coordonnees bancaires",
  "changement de mes coordonnees bancaires", "changement de compte bancaire", "changement de domiciliation",
  "changement de banque", "change de banque", "changeons de banque", "change de compte bancaire",
  "modification de rib", "modification de n?m?[oe]s coordonnees bancaires", "modifi%a+ n?m?[oe]s coordonnees bancaires",
  "mise a jour de n?m?[oe]s coordonnees bancaires", "coordonnees bancaires ont change", "coordonnees bancaires ont ete modifiees",
  "coordonnees bancaires ont evolue", "rib a change", "iban a change", "modifi%a+ mon rib", "changer mon rib", "changer de rib",
  "new bank details", "new bank account", "new banking details", "bank details have changed", "bank account has changed",
  "updated bank details", "changed our bank", "change of bank details",
}

-- Every phrase has one of these words. Phrases are looked for around them alone: most mails have none, and cost nothing.
local AROUND, WINDOWS, REACH = { "rib", "iban", "bank", "banc", "banq", "domiciliation" }, 400, 80
-- Each letter may have an accent, as "folded" takes it off.
local LIKE_AROUND = regexp.create("/" .. table.concat(AROUND, "|"):gsub("[aceinou]", "(?:%0|\\xc3[\\x80-\\xbf])") .. "/ir")

function M.announces(text)
  text = plain(text)
  if not LIKE_AROUND:match(text) then return false end
  text = folded(text)
  local left = WINDOWS
  for _, word in ipairs(AROUND) do
    local at = text:find(word, 1, true)
    while at and left > 0 do
      if not text:sub(at - 1, at - 1):find("%w") then
        left = left - 1
        local window = text:sub(math.max(1, at - REACH), at + REACH)
        for _, pattern in ipairs(ANNOUNCING) do
          if window:find("%f[%w]" .. pattern .. "%f[%W]") then return true end
        end
      end
      at = text:find(word, at + #word, true)
    end
  end
  return false
end

-- What text, subject and the texts of attached documents say about bank details. `key` makes the hashes; without it
-- nobody finds out an IBAN from one.
function M.bank(task, key, documents)
  local text = (task:get_subject() or "") .. "\n"
  for _, part in ipairs(task:get_text_parts() or {}) do
    if #text < MAX_TEXT then text = text .. tostring(part:get_content("content") or ""):sub(1, MAX_TEXT - #text) .. "\n" end
  end
  local hashes, known, announces = {}, {}, false
  local function look(one)
    for _, iban in ipairs(M.ibans(one)) do
      local hash = cryptobox_hash.create_keyed(key, iban):hex():sub(1, 64)
      if not known[hash] and #hashes < MAX_IBANS then hashes[#hashes + 1], known[hash] = hash, true end
    end
    announces = announces or M.announces(one)
  end
  look(text)
  local left = MAX_TEXT
  for _, document in ipairs(documents) do
    if left <= 0 then break end
    look(document:sub(1, left))
    left = left - #document
  end
  return { ibans = hashes, announces = announces }
end

return M
