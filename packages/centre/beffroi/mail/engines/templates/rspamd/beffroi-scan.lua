--[[
Attached files before the process scan: one question for each, by clamd's protocol and the command FACTS (scan/wire.py);
and a text that may draw a QR code, or have a command to paste, by CODES.

Purpose:  its findings, the text of documents and where they lead, for the facts (beffroi.lua). No text is logged or kept.
Hostile:  the files. What the scanner says is parsed as JSON; mailgate lets through only codes that it knows.
Fails:    closed: a file without an answer, and the mail waits with its sender.
]]
local rspamd_tcp = require "rspamd_tcp"
local rspamd_util = require "rspamd_util"
local rspamd_logger = require "rspamd_logger"
local ucl = require "ucl"

local MAX_ATTACHMENTS = 100

-- A text that is shown among the attached files, though it has no name.
local function is_set_aside(part)
  return tostring(part:get_header("Content-Disposition") or ""):lower():find("^%s*attachment") ~= nil
end

return function(settings, content_of)
  local S = {}

  local function look(task)
    local out = {}
    local function add(file)
      if #file.content == 0 then return true end
      out[#out + 1] = file
      return #out <= MAX_ATTACHMENTS
    end
    for _, part in ipairs(task:get_parts() or {}) do
      local flags, name, content = {}, part:get_filename(), not part:is_multipart() and part:get_content()
      if content then
        local names = content_of.names(part, flags)
        if name or #names > 0 or not part:is_text() or is_set_aside(part) then
          if not add({ part = part, name = name, names = names, flags = flags, content = content }) then break end
        end
        for _, one in ipairs(part:is_text() and content_of.uuencoded(content) or {}) do
          if not add({ name = one.name, names = {}, flags = {}, content = one.content }) then break end
        end
        local text = part:is_text() and part:get_text()
        local written = text and text:get_content("raw_utf")
        local html = text and text:is_html() and written
        for _, picture in ipairs(html and content_of.pictures(html) or {}) do
          if not add({ names = {}, flags = {}, content = picture }) then break end
        end
        if written and content_of.leads_by_itself(written) and not add({ is_text = true, content = written }) then break end
      end
    end
    return out
  end

  -- The attached files: {part, name, names, flags, content}; and whether there are more than we look at. `part` is nil
  -- for one that stands in a text, as pictures may, too. `is_text`: it is none, but a text that may lead elsewhere by itself.
  function S.attached(task)
    local found = task:cache_get("beffroi_attached")
    if not found then
      -- An error here must not let the mail pass: it is held as one that cannot be read.
      local ok, files = pcall(look, task)
      if not ok then rspamd_logger.errx(task, "the attached files cannot be listed: %s", files) end
      found = { files = ok and files or {}, more = not ok or #files > MAX_ATTACHMENTS }
      if ok and found.more then files[#files] = nil end
      task:cache_set("beffroi_attached", found)
    end
    return found.files, found.more
  end

  -- What the scanner said of each attached file, by their order: nil where it said nothing yet, or nothing understood.
  function S.answers(task)
    local known = task:cache_get("beffroi_scan")
    if not known then
      known = {}
      task:cache_set("beffroi_scan", known)
    end
    return known
  end

  function S.is_done(task)
    if settings.scan == "" then return true end
    local known = S.answers(task)
    for i = 1, #S.attached(task) do
      if not known[i] then return false end
    end
    return true
  end

  function S.ask(task)
    local known = S.answers(task)
    for i, file in ipairs(S.attached(task)) do
      rspamd_tcp.request {
        task = task, host = settings.scan, timeout = settings.scan_timeout_s, stop_pattern = "\0",
        data = { file.is_text and "zCODES\0" or "zFACTS\0", rspamd_util.pack(">I4", #file.content), file.content, rspamd_util.pack(">I4", 0) },
        callback = function(err, answer)
          if err or not answer then return end
          local parser = ucl.parser()
          if parser:parse_string((tostring(answer):gsub("%z$", ""))) then known[i] = parser:get_object() end
        end,
      }
    end
  end

  -- Where a click in the attached documents leads, and QR codes in pictures; and whether there is more than that.
  function S.links(task)
    local out, more = {}, false
    for i = 1, MAX_ATTACHMENTS do
      local answer = S.answers(task)[i] or {}
      local in_code = {}
      for _, link in ipairs(answer.codes or {}) do in_code[link] = true end
      for _, link in ipairs(answer.links or {}) do
        out[#out + 1] = { url = tostring(link), in_code = in_code[link] or false }
      end
      more = more or answer.more_links or false
    end
    return out, more
  end

  function S.documents(task)
    local out = {}
    for i = 1, MAX_ATTACHMENTS do
      local text = (S.answers(task)[i] or {}).text
      if type(text) == "string" and text ~= "" then out[#out + 1] = text end
    end
    return out
  end

  return S
end
