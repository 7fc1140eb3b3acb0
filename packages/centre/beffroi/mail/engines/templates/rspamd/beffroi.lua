--[[
The mail door's part inside rspamd, so that rspamd stays the only program that parses a hostile message on its way in.

  meanwhile  shows each attached file to the process scan (clamd's protocol, command FACTS)
  at entry   removes every X-Beffroi-* header that came from outside, gives the message its identifier (lib.ids, prefix
             msg), and refuses a signed-in client whose visible From: is not its own address
  after all  other checks: sends facts (identifiers, addresses, links, hashes, results; never content) to mailgate and
             applies its verdict
  at the end stamps X-Beffroi-Id, X-Beffroi-Auth, and where they apply -Verdict, -Spam, -Unchecked, -Lane

Hostile:  the message. Fails closed without the scanner: senders come again. Fails open beyond it: without an answer of mailgate the message is delivered and stamped
          X-Beffroi-Unchecked with what a later check needs; the sweep finds it.
]]
local rspamd_http = require "rspamd_http"
local rspamd_util = require "rspamd_util"
local rspamd_logger = require "rspamd_logger"
local cryptobox_hash = require "rspamd_cryptobox_hash"
local ucl = require "ucl"

local settings = dofile(rspamd_paths["LOCAL_CONFDIR"] .. "/beffroi-settings.lua")
local bank_of = dofile(rspamd_paths["LOCAL_CONFDIR"] .. "/beffroi-bank.lua")
local content_of = dofile(rspamd_paths["LOCAL_CONFDIR"] .. "/beffroi-content.lua")
local links_of = dofile(rspamd_paths["LOCAL_CONFDIR"] .. "/beffroi-links.lua")
local scanning = dofile(rspamd_paths["LOCAL_CONFDIR"] .. "/beffroi-scan.lua")(settings, content_of)
local origin = dofile(rspamd_paths["LOCAL_CONFDIR"] .. "/beffroi-origin.lua")(settings)
local N = "beffroi"
-- Of more than max_lua_urls addresses, about twice as many, rspamd shows about so many, by chance. What is longer than
-- MAX_FACTS mailgate does not read.
local MAX_URLS, MAX_RECIPIENTS, MAX_SYMBOLS, MAX_SHOWN = 1000, 1000, 100, 200
local MAX_TEXT, MAX_FACTS = 2048, 2 * 1024 * 1024

local function text_of(value)
  if value == nil then return nil end
  local text = tostring(value)
  if #text > MAX_TEXT then text = text:sub(1, MAX_TEXT) end
  -- The call costs 12 us, and nearly every text is ASCII.
  if text:find("[\128-\255]") and not rspamd_util.is_valid_utf8(text) then text = text:gsub("[\128-\255]", "?") end
  return text
end

-- Links as facts, and whether there are more than we look at: what is blocked may be among the others.
local function links(task)
  local out, urls, shown = {}, task:get_urls({ "http", "https" }) or {}, {}
  local targets, target_hosts, written, cut, pictures = links_of.targets(task)
  for _, url in ipairs(urls) do
    local imitated = url:is_phished() and url:get_phished()
    if imitated then shown[tostring(imitated:get_host() or ""):lower()] = true end
  end
  for _, url in ipairs(urls) do
    written[tostring(url:get_text())] = nil
    if #out >= MAX_URLS then break end
    local host = tostring(url:get_host() or ""):lower()
    local link = { url = text_of(url:get_text()), host = text_of(url:get_host()) }
    -- What a link only shows is the name of the one it imitates, never where it leads; nor is it a landing where the
    -- plain text of the same mail repeats it. It is told apart, so that what is blocked already stays blocked.
    local repeated = shown[host] and not target_hosts[host] or false
    local key = links_of.key(url)
    link.only_shown = (url:is_html_displayed() or repeated or cut[key:lower()] or false) and not targets[key]
    if url:is_phished() and not link.only_shown then
      local imitated = url:get_phished()
      link.shown_host = imitated and text_of(imitated:get_host()) or ""
    end
    out[#out + 1] = link
  end
  local of_documents, more = scanning.links(task)
  for _, one in ipairs(of_documents) do out[#out + 1] = { url = text_of(one.url), in_code = one.in_code } end
  more = more or #urls + #of_documents > MAX_URLS
  for one in pairs(written) do
    if #out < MAX_URLS then out[#out + 1] = { url = text_of(one) } end
  end
  -- A campaign's pictures may be all that stays the same of it, and a newsletter's are those of a service that everybody
  -- uses: what is blocked holds the mail, none is evidence.
  for _, host in ipairs(pictures) do
    if #out < MAX_URLS then out[#out + 1] = { host = text_of(host), only_shown = true } end
  end
  -- Readers of documents make links of addresses in their text. A line's end may cut one, so it is no evidence.
  local left = MAX_SHOWN
  for _, text in ipairs(scanning.documents(task)) do
    for place in text:gmatch("%f[%w][hH][tT][tT][pP][sS]?://[^%s%z<>\"')]+") do
      if left == 0 or #out >= MAX_URLS then break end
      left = left - 1
      out[#out + 1] = { url = text_of((place:gsub("[.,;:!?]+$", ""))), only_shown = true }
    end
  end
  return out, more
end

local function attachments(task)
  local out, known = {}, scanning.answers(task)
  local function tell(i, one)
    local inside = {}
    for code in pairs((known[i] or {}).found or {}) do inside[#inside + 1] = code end
    local sha256 = cryptobox_hash.create_specific("sha256", one.content):hex()
    local function add(name)
      local file = content_of.file(one.part, name, one.content, one.flags)
      file.sha256, file.size_bytes, file.inside = sha256, #one.content, inside
      out[#out + 1] = file
      return file.extension
    end
    local shown = add(one.name)
    out[#out].carried = (known[i] or {}).files
    -- Another program shows another of its names.
    for _, name in ipairs(one.names) do
      if content_of.extension(name) ~= shown then add(name) end
    end
  end
  for i, one in ipairs(scanning.attached(task)) do
    if not one.is_text then tell(i, one) end
  end
  return out
end

-- What a reader sees of the text, as rspamd's own fuzzy check takes it: the least of 32 hash functions over its word
-- triples. Of few words any two greetings are alike.
local MIN_WORDS = 30
local function text_sketch(task)
  local shown, out = nil, {}
  for _, part in ipairs(task:get_text_parts() or {}) do
    local is_html, words = part:is_html() or false, part:get_words_count() or 0
    local better = not shown or (is_html and not shown.is_html) or (is_html == shown.is_html and words > shown.words)
    if better then shown = { part = part, is_html = is_html, words = words } end
  end
  if not shown or shown.words < MIN_WORDS then return out end
  local _, triples = shown.part:get_fuzzy_hashes(task:get_mempool())
  for i, one in ipairs(triples or {}) do out[i] = tostring(one[1]) end
  return out
end

local function recipients(task)
  local out = {}
  for _, r in ipairs(task:get_recipients("smtp") or {}) do
    if #out < MAX_RECIPIENTS and r.addr then out[#out + 1] = text_of(r.addr:lower()) end
  end
  return out
end

local function sender(task)
  local from = (task:get_from("smtp") or {})[1]
  if from and from.addr and from.addr ~= "" then return text_of(from.addr:lower()) end
  if origin.is_rescan(task) then
    local path = task:get_header("Return-Path")
    if path then return text_of(path:gsub("[<>%s]", ""):lower()) end
  end
  return ""
end

-- As it came: rspamd's own reading has "?" for blanks and accents, and Dovecot's journal has neither.
local function message_id(task)
  return text_of(((task:get_header_raw("Message-ID") or ""):gsub("%c+", " ")))
end

local function client_address(task)
  local ip = task:get_from_ip()
  if ip and ip:is_valid() and not origin.is_rescan(task) then return tostring(ip) end
  return origin.stamped(task).ip or ""
end

local function is_spam(task)
  local action = task:get_metric_action("default")
  return action == "add header" or action == "rewrite subject"
end

-- What is known of a message that cannot be read: who handed it in and whom it is for.
local function bare_facts(task, why)
  return {
    v = 1, id = origin.identify(task), rescan = origin.is_rescan(task), queue_id = text_of(task:get_queue_id()) or "",
    message_id = message_id(task), sender = sender(task), recipients = recipients(task),
    client_ip = client_address(task), signed_in = task:get_user() ~= nil, user = text_of(task:get_user()) or "",
    auth = origin.authentication(task), unparseable = why,
  }
end

local function facts(task)
  local mime_from = (task:get_from("mime") or {})[1]
  local symbols = {}
  for _, name in ipairs(task:get_symbols() or {}) do
    if #symbols < MAX_SYMBOLS then symbols[#symbols + 1] = name end
  end
  local urls, more_urls = links(task)
  local score, bank = task:get_metric_score("default"), bank_of.bank(task, settings.bank_key, scanning.documents(task))
  return {
    v = 1,
    id = origin.identify(task),
    rescan = origin.is_rescan(task),
    queue_id = text_of(task:get_queue_id()) or "",
    message_id = message_id(task),
    sender = sender(task),
    visible_from = mime_from and text_of(mime_from.addr:lower()) or "",
    recipients = recipients(task),
    client_ip = client_address(task),
    helo = text_of(task:get_helo()) or "",
    signed_in = task:get_user() ~= nil,
    user = text_of(task:get_user()) or "",
    by_filter = origin.by_filter(task),
    size_bytes = task:get_size(),
    urls = urls,
    attachments = attachments(task),
    auth = origin.authentication(task),
    symbols = symbols,
    score = score and score[1] or 0,
    spam = is_spam(task),
    virus = task:has_symbol("BEFFROI_VIRUS"),
    ibans = bank.ibans,
    announces_bank_details = bank.announces,
    unparseable = content_of.unparseable(task) or (select(2, scanning.attached(task)) and "files")
      or (more_urls and "links" or ""),
    -- Ours quote what was decided, to warn each other; their links, files and addresses count as anybody's.
    text = not origin.is_signed_in(task) and text_sketch(task) or nil,
  }
end

local function apply(task, verdict)
  local pool = task:get_mempool()
  if type(verdict.lane) == "string" and verdict.lane:match("^[a-z0-9-]+$") then pool:set_variable("beffroi_lane", verdict.lane) end
  if verdict.action == "reject" then
    task:insert_result("BEFFROI_BLOCKED", 1.0, verdict.decision_id or "")
    if not origin.is_rescan(task) then
      task:set_pre_result("reject", verdict.text or "Blocked by collective immunity", N, nil, 100)
    end
  elseif verdict.action == "later" then
    task:set_pre_result("soft reject", verdict.text or "Try again later", N, nil, 100)
  elseif verdict.action == "quarantine" then
    task:insert_result("BEFFROI_BLOCKED", 1.0, verdict.decision_id or "")
    pool:set_variable("beffroi_verdict", "quarantine")
  end
end

-- A boîtier's relay is held to its policy by mailgate: its mail waits on the boîtier until mailgate answers.
local function by_relay(task)
  local user = task:get_user()
  return user ~= nil and not origin.is_rescan(task) and text_of(user):lower():sub(-#"@relay") == "@relay"
end

local function unchecked(task, why)
  if by_relay(task) then
    task:set_pre_result("soft reject", "The mail door is away, try again later", N, nil, 100)
    return
  end
  task:insert_result("BEFFROI_UNCHECKED", 1.0, why)
  task:get_mempool():set_variable("beffroi_unchecked", "yes")
end

if settings.scan ~= "" then
  rspamd_config:register_symbol {
    name = "BEFFROI_SCAN", type = "normal", group = N, score = 0.0,
    flags = "empty,nostat,ignore_passthrough,explicit_disable",
    callback = scanning.ask,
  }
end

local check = rspamd_config:register_symbol {
  name = "BEFFROI_CHECK", type = "postfilter", priority = 0, group = N,
  flags = "empty,nostat,ignore_passthrough,explicit_disable",
  callback = function(task)
    if task:has_symbol("BEFFROI_VIRUS_FAIL") then
      -- The scanner is away: mail waits with its sender, and a copy that is looked at again waits for the next time.
      rspamd_logger.warnx(task, "the virus scanner does not answer: %s waits", origin.identify(task))
      task:set_pre_result("soft reject", "The virus scanner is away, try again later", N, nil, 100)
      return
    end
    -- A message that is refused anyway is refused, whatever the scanner would say.
    if not scanning.is_done(task) and task:get_metric_action("default") ~= "reject" then
      rspamd_logger.warnx(task, "the scanner of attached files does not answer: %s waits", origin.identify(task))
      task:set_pre_result("soft reject", "The scanner of attached files is away, try again later", N, nil, 100)
      return
    end
    local ok, found = pcall(facts, task)
    if not ok then
      rspamd_logger.errx(task, "facts of %s: %s", origin.identify(task), found)
      found = bare_facts(task, "facts")
    end
    local told = ucl.to_format(found, "json-compact")
    if #told > MAX_FACTS then told = ucl.to_format(bare_facts(task, "facts"), "json-compact") end
    local sent = rspamd_http.request {
      task = task, url = settings.url .. "/check", method = "POST", mime_type = "application/json",
      headers = { ["X-Beffroi-Key"] = settings.key }, body = told,
      -- A thousand links take mailgate a tenth of a second, on a busy machine some.
      timeout = 4.0, keepalive = true, max_size = 65536,
      callback = function(err, code, body)
        if err or code ~= 200 then return unchecked(task, tostring(err or code)) end
        local parser = ucl.parser()
        if not parser:parse_string(body) then return unchecked(task, "answer") end
        apply(task, parser:get_object())
      end,
    }
    if not sent then unchecked(task, "request") end
  end,
}
rspamd_config:register_symbol { name = "BEFFROI_BLOCKED", type = "virtual", parent = check, group = N, score = 0.0 }
rspamd_config:register_symbol { name = "BEFFROI_UNCHECKED", type = "virtual", parent = check, group = N, score = 0.0 }

-- Postfix has checked that the envelope sender is the signed-in mailbox; what people see must be the same.
rspamd_config:register_symbol {
  name = "BEFFROI_OWN_FROM", type = "normal", group = N, score = 0.0, flags = "empty,nostat",
  callback = function(task)
    if not task:get_user() then return false end
    local seen, envelope = task:get_from("mime"), (task:get_from("smtp") or {})[1]
    local own = seen and #seen == 1 and envelope and seen[1].addr:lower() == envelope.addr:lower()
    if not own or not content_of.sender_is_clear(task) then
      task:set_pre_result("reject", "The From: header is not your own address", N)
      return true
    end
    return false
  end,
}

-- Letters of mathematics look like those of a heavier type, and programs that look for words do not know them. One or two
-- may stand in a formula.
local MIN_STYLED = 3
rspamd_config:register_symbol {
  name = "BEFFROI_STYLED", type = "normal", group = N, score = 0.0, flags = "empty,nostat",
  callback = function(task)
    local from = (task:get_from("mime") or {})[1]
    local shown = (task:get_subject() or "") .. " " .. (from and from.name or "")
    local _, count = shown:gsub("\240\157[\144-\159][\128-\191]", "")
    return count >= MIN_STYLED
  end,
}

-- Each address gets its copy, and room is asked for each alone: one large mail to user+1, user+2 and so on would fill a
-- disk past every limit. Dovecot takes as many for one mailbox at once (lmtp_user_concurrency_limit).
local MOST_OF_ONE_MAILBOX = 20
rspamd_config:register_symbol {
  name = "BEFFROI_DETAILS", type = "normal", group = N, score = 0.0, flags = "empty,nostat",
  callback = function(task)
    local seen = {}
    for _, one in ipairs(task:get_recipients("smtp") or {}) do
      local base = one.addr:lower():gsub("%+[^@]*@", "@")
      seen[base] = (seen[base] or 0) + 1
      if seen[base] > MOST_OF_ONE_MAILBOX then
        task:set_pre_result("reject", "Too many addresses of one mailbox", N)
        return true
      end
    end
    return false
  end,
}

-- rspamd's own module signs for whoever signed in. An answer of absence is written by delivery, which cannot; it bears
-- its mailbox's address in both places. What is forwarded keeps its author's From:, and its signature.
local selectors = rspamd_config:add_map {
  url = settings.signing .. "/selectors", type = "map", description = "domains that are signed for",
}
rspamd_config:register_symbol {
  name = "BEFFROI_SIGN_ANSWER", type = "normal", group = N, score = 0.0, flags = "empty,nostat",
  callback = function(task)
    if not origin.is_answer(task) then return false end
    local domain = task:get_from("smtp")[1].domain:lower()
    local selector = selectors and selectors:get_key(domain)
    if not selector then return false end
    local key = string.format("%s/%s.%s.pem", settings.signing, selector, domain)
    return rspamd_plugins.dkim.sign(task, { domain = domain, selector = selector, key = key })
  end,
}

-- A read receipt of the webmail, which nobody else's token sends (an app password stands behind the address): what comes
-- back about it goes to nobody (RFC 8098, 3). It was checked, counted and signed under its owner's address before.
local function is_receipt(task)
  local kind = (task:get_header("Content-Type") or ""):lower()
  return select(2, (task:get_user() or ""):gsub("@", "")) == 1 and kind:find("^multipart/report;") ~= nil
    and kind:find('report%-type="?disposition%-notification') ~= nil
end

local function old_headers(task)
  local out = {}
  for _, header in ipairs(task:get_headers(true) or {}) do
    if header.name and header.name:lower():match("^x%-beffroi%-") then out[header.name] = 0 end
  end
  return out
end

rspamd_config:register_symbol {
  name = "BEFFROI_STAMP", type = "idempotent", priority = 5, group = N,
  flags = "empty,nostat,ignore_passthrough,explicit_disable",
  callback = function(task)
    if origin.is_rescan(task) then return end
    local pool, auth = task:get_mempool(), origin.authentication(task)
    local add = {
      ["X-Beffroi-Id"] = origin.identify(task),
      ["X-Beffroi-Auth"] = string.format("spf=%s; dkim=%s; dmarc=%s%s", auth.spf, auth.dkim, auth.dmarc,
        origin.is_signed_in(task) and "; signed-in=yes" or ""),
    }
    if pool:get_variable("beffroi_verdict") then add["X-Beffroi-Verdict"] = "quarantine" end
    if pool:get_variable("beffroi_unchecked") then
      add["X-Beffroi-Unchecked"] = "yes; ip=" .. (client_address(task) ~= "" and client_address(task) or "none")
    end
    if is_spam(task) then add["X-Beffroi-Spam"] = "yes" end
    local lane = pool:get_variable("beffroi_lane")
    if lane then add["X-Beffroi-Lane"] = lane end
    task:set_milter_reply({
      remove_headers = old_headers(task), add_headers = add, change_from = is_receipt(task) and "<>" or nil,
    })
  end,
}
