--[[
Where a mail comes from: its identifier, whether it is looked at again, who handed it in, and what of that was proved.

Purpose:  for the facts, the stamps and the signing (beffroi.lua).
Hostile:  the message. X-Beffroi-* headers count of a rescan, which shows our key, and of what delivery hands in.
A rescan (the sweep, with the shared key) keeps the identifier that the message already carries.
]]
local rspamd_util = require "rspamd_util"

local ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

-- 48 bits of milliseconds and 82 random bits, 5 bits a character: the same shape as lib.ids.new_id.
local function new_id()
  local ms = math.floor(rspamd_util.get_time() * 1000)
  local random = rspamd_util.random_hex(36)
  local function byte(i) return tonumber(random:sub(2 * i - 1, 2 * i), 16) end
  local out, high = {}, math.floor(ms / 8)
  for i = 9, 1, -1 do
    local digit = high % 32
    out[i] = ALPHABET:sub(digit + 1, digit + 1)
    high = math.floor(high / 32)
  end
  local mixed = (ms % 8) * 4 + byte(1) % 4
  out[10] = ALPHABET:sub(mixed + 1, mixed + 1)
  for i = 11, 26 do
    local digit = byte(i - 9) % 32
    out[i] = ALPHABET:sub(digit + 1, digit + 1)
  end
  return "msg_" .. table.concat(out)
end

local function is_id(text)
  return type(text) == "string" and #text == 30 and text:match("^msg_[0-9a-hjkmnp-tv-z]+$") ~= nil
end

local function header_of_request(task, name)
  local value = task:get_request_header(name)
  return value and tostring(value) or nil
end

local RESULTS = {
  spf = { { "R_SPF_ALLOW", "pass" }, { "R_SPF_FAIL", "fail" }, { "R_SPF_SOFTFAIL", "softfail" },
    { "R_SPF_NEUTRAL", "neutral" }, { "R_SPF_DNSFAIL", "temperror" }, { "R_SPF_PERMFAIL", "permerror" } },
  dkim = { { "R_DKIM_ALLOW", "pass" }, { "R_DKIM_REJECT", "fail" }, { "R_DKIM_TEMPFAIL", "temperror" },
    { "R_DKIM_PERMFAIL", "permerror" } },
  dmarc = { { "DMARC_POLICY_ALLOW", "pass" }, { "DMARC_POLICY_REJECT", "fail" },
    { "DMARC_POLICY_QUARANTINE", "fail" }, { "DMARC_POLICY_SOFTFAIL", "fail" }, { "DMARC_DNSFAIL", "temperror" },
    { "DMARC_BAD_POLICY", "permerror" } },
}

return function(settings)
  local M = {}

  function M.is_rescan(task)
    return header_of_request(task, "Beffroi-Key") == settings.key
  end

  function M.identify(task)
    local pool = task:get_mempool()
    local known = pool:get_variable("beffroi_id")
    if known then return tostring(known) end
    local id = M.is_rescan(task) and task:get_header("X-Beffroi-Id") or nil
    if not is_id(id) then id = new_id() end
    pool:set_variable("beffroi_id", id)
    return id
  end

  -- Handed in by delivery, for the owner of the mailbox that the envelope names: Postfix tells by which of its doors.
  function M.by_filter(task)
    return header_of_request(task, "MTA-Name") == "beffroi-filters" or header_of_request(task, "MTA-Tag") == "beffroi-filters"
  end

  -- What delivery wrote itself for a mailbox: an answer of absence. What it only passes on bears the stamp of our entry.
  function M.is_answer(task)
    if not M.by_filter(task) or task:get_header("X-Beffroi-Auth") then return false end
    local seen, envelope = task:get_from("mime"), (task:get_from("smtp") or {})[1]
    return #(task:get_header_full("From") or {}) == 1 and seen ~= nil and #seen == 1 and envelope ~= nil
      and seen[1].addr:lower() == envelope.addr:lower()
  end

  -- Whoever wrote it had signed in, here, when it came first, or at the mailbox that passes it on, or is delivery.
  function M.is_signed_in(task)
    if task:get_user() or M.is_answer(task) then return true end
    return (M.by_filter(task) or M.is_rescan(task)) and (task:get_header("X-Beffroi-Auth") or ""):find("signed-in=yes", 1, true) ~= nil
  end

  -- What the first scan found travels in our own header to a rescan, which has no envelope to check again, and with a mail
  -- that is passed on: delivery is no server of its author. SPF spoke of another envelope.
  function M.stamped(task)
    local found = {}
    if not M.is_rescan(task) and not M.by_filter(task) then return found end
    for _, name in ipairs({ "X-Beffroi-Auth", "X-Beffroi-Unchecked" }) do
      for key, value in (task:get_header(name) or ""):gmatch("(%w+)=([^%s;]+)") do found[key] = value end
    end
    if M.by_filter(task) then found.spf = nil end
    return found
  end

  function M.authentication(task)
    local before, out = M.stamped(task), {}
    for kind, cases in pairs(RESULTS) do
      out[kind] = before[kind] or "none"
      for _, case in ipairs(cases) do
        if task:has_symbol(case[1]) then out[kind] = case[2]; break end
      end
    end
    return out
  end

  return M
end
