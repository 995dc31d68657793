-- For wrk (bench/serve.py titles): a body of the file a request, one after the other.
local bodies, at = {}, 0

function init(args)
   for line in io.lines(args[1]) do bodies[#bodies + 1] = wrk.format("POST", "/embed", { ["Content-Type"] = "application/json" }, line) end
end

function request()
   at = at % #bodies + 1
   return bodies[at]
end
