-- Argo CD's health check of a ChatDeployment: docs/operations.md says where it goes. Without libraries; Argo CD runs Lua 5.1.
local status = obj.status
local generation = obj.metadata.generation
if status == nil or status.conditions == nil or status.observedGeneration ~= generation then
  return { status = "Progressing", message = "the operator has not looked at this generation yet" }
end
local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local ready, degraded = conditions.Ready, conditions.Degraded
if degraded ~= nil and degraded.status == "True" then
  return { status = "Degraded", message = degraded.message }
end
if ready == nil then
  return { status = "Progressing", message = "the operator has not written its conditions yet" }
end
if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
if ready.reason == "Paused" or ready.reason == "Partitioned" then
  return { status = "Suspended", message = ready.message }
end
return { status = "Progressing", message = ready.message }
