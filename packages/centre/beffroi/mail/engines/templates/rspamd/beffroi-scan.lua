--[[
Attached files before the process scan: one question for each, by clamd's protocol and the command FACTS (scan/wire.py).

Purpose:  its findings and the text of documents, for the facts (beffroi.lua). No text is logged or kept.
Hostile:  the files. What the scanner says is parsed as JSON; mailgate lets through only codes that it knows.
Fails:    closed: a file without an answer, and the mail waits with its sender.
]]
local rspamd_tcp = require "rspamd_tcp"
local rspamd_util = require "rspamd_util"
local ucl = require "ucl"

local MAX_ATTACHMENTS = 100

return function(settings)
  local S = {}

  -- The parts that are attached files: {part, name, content}; and whether there are more than we look at.
  function S.attached(task)
    local out = {}
    for _, part in ipairs(task:get_parts() or {}) do
      local name = part:get_filename()
      if not part:is_multipart() and (name or not part:is_text()) then
        local content = part:get_content()
        if content and #content > 0 then
          if #out >= MAX_ATTACHMENTS then return out, true end
          out[#out + 1] = { part = part, name = name, content = content }
        end
      end
    end
    return out, false
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
        data = { "zFACTS\0", rspamd_util.pack(">I4", #file.content), file.content, rspamd_util.pack(">I4", 0) },
        callback = function(err, answer)
          if err or not answer then return end
          local parser = ucl.parser()
          if parser:parse_string((tostring(answer):gsub("%z$", ""))) then known[i] = parser:get_object() end
        end,
      }
    end
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
